import type { ValidationErrors } from './validation-errors.js';
import { openSections } from './keys.js';
import {
  isEmpty,
  isRawMap,
  isRawScalar,
  describeRaw,
  describeKey,
  type RawMap,
  type RawNode,
} from './raw.js';
import { Setting, type Section } from './setting.js';

/** Typed values by key; only what was configured is there. */
export interface Tree {
  [key: string]: unknown;
}

export interface ReadOptions {
  /** For messages, as in "file '/etc/eventgenerator.yml'". */
  readonly source: string;
  /** Whether a key that does not exist is a fault (the file, as in Go) or only reported if it holds something. */
  readonly refuseUnknownKeys: boolean;
}

export interface ReadTree {
  readonly tree: Tree;
  /** What the operator should know about ignored keys. */
  readonly warnings: readonly string[];
}

const maxNamed = 20;

/** Turns what was written into typed values, and reports every key that does not exist or has the wrong type. */
export function readTree(
  root: RawMap,
  section: Section,
  options: ReadOptions,
  faults: ValidationErrors,
): ReadTree {
  const ignored: string[] = [];
  const tree = readSection(root, section, '');
  return { tree, warnings: ignoredKeyWarnings(ignored, options.source) };

  function readSection(map: RawMap, known: Section, path: string): Tree {
    const result: Tree = {};
    let unknown = 0;
    for (const [key, node] of map) {
      const name = path === '' ? describeKey(key) : `${path}.${describeKey(key)}`;
      const entry = Object.hasOwn(known, key) ? known[key] : undefined;
      if (entry instanceof Setting) {
        const value = readValue(node, entry, name);
        if (value !== undefined) result[key] = value;
      } else if (entry) {
        const child = readMap(node, entry, name);
        if (child) result[key] = child;
      } else if (openSections[path]) {
        readMap(node, openSections[path], name);
      } else if (!options.refuseUnknownKeys) {
        if (!isEmpty(node)) ignored.push(name);
      } else if (++unknown <= maxNamed) {
        faults.unreadable(
          `unknown key ${name}${placeHint(name)}, allowed there: ${Object.keys(known).join(', ')} (${options.source})`,
        );
      }
    }
    return result;
  }

  function readMap(node: RawNode, known: Section, name: string): Tree | undefined {
    if (isRawMap(node)) return readSection(node, known, name);
    const found = isRawScalar(node) ? 'a single value' : 'a list';
    faults.unreadable(`${name} is ${found}, allowed is a map of keys (${options.source})`, { key: name });
    return undefined;
  }

  function readValue(node: RawNode, setting: Setting<unknown>, name: string): unknown {
    const value = isRawScalar(node) ? setting.type.read(node) : undefined;
    if (value !== undefined) return value;
    // Secrets are texts, and a text takes every scalar: what is shown here is never one.
    const hint = isRawScalar(node) ? setting.type.hint?.(node) : undefined;
    const fault = hint ?? `is ${describeRaw(node)}, allowed is ${setting.type.allowed}`;
    faults.unreadable(`${name}${hint === undefined ? ' ' : ': '}${fault} (${options.source})`, { key: name });
    return undefined;
  }
}

/** The mistake that the deployment's own templates suggest. */
function placeHint(key: string): string {
  return key === 'uaa' ? ' (it belongs under metricCollector.uaa)' : '';
}

function ignoredKeyWarnings(ignored: readonly string[], source: string): string[] {
  if (ignored.length === 0) return [];
  const named = ignored.slice(0, maxNamed).map((key) => key + placeHint(key));
  const more = ignored.length - named.length;
  const list = named.join(', ') + (more > 0 ? ` and ${more} more` : '');
  return [`Unknown keys of the ${source} are ignored, remove or correct them: ${list}.`];
}
