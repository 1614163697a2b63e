import { keys, openSections } from './keys.js';
import {
  isEmpty,
  isRawMap,
  isRawScalar,
  describeRaw,
  describeKey,
  type RawMap,
  type RawNode,
} from './raw.js';
import type { Report } from './report.js';
import { isSetting, type Section, type Setting } from './setting.js';
import { parseYamlMap, YamlError } from './yaml-text.js';

/** Typed values by key; only what was configured is there. */
export interface Tree {
  [key: string]: unknown;
}

export interface ReadOptions {
  /** For messages, as in "file '/etc/eventgenerator.yml'". */
  readonly source: string;
  /** What is malformed where the text is no YAML map. */
  readonly quoted: string;
  /** Whether an unknown key is an error (the file, as in Go) or only warned about if it holds something. */
  readonly rejectUnknownKeys: boolean;
}

const maxNamed = 20;

/** Turns a YAML text into typed values, and reports every key that does not exist or has the wrong type. */
export function readTree(text: string, options: ReadOptions, report: Report): Tree {
  const { source, rejectUnknownKeys } = options;
  const ignored: string[] = [];
  const unreadable = (problem: string, key: string) =>
    report.unreadable(`${key}${problem} (${source})`, { key });

  function readSection(map: RawMap, known: Section, path: string): Tree {
    const result: Tree = {};
    let unknown = 0;
    for (const [key, node] of map) {
      const name = path === '' ? describeKey(key) : `${path}.${describeKey(key)}`;
      const isKnown = Object.hasOwn(known, key);
      const entry = isKnown ? known[key] : openSections[path];
      if (entry) {
        const value = isSetting(entry) ? readValue(node, entry, name) : readMap(node, entry, name);
        if (isKnown && value !== undefined) result[key] = value;
      } else if (!rejectUnknownKeys) {
        if (!isEmpty(node)) ignored.push(name);
      } else if (++unknown <= maxNamed) {
        const allowed = Object.keys(known).join(', ');
        report.unreadable(`unknown key ${name}${placeHint(name)}, allowed there: ${allowed} (${source})`);
      }
    }
    return result;
  }

  function readMap(node: RawNode, known: Section, name: string): Tree | undefined {
    if (isRawMap(node)) return readSection(node, known, name);
    const found = isRawScalar(node) ? 'a single value' : 'a list';
    unreadable(` is ${found}, allowed is a map of keys`, name);
    return undefined;
  }

  function readValue(node: RawNode, { type }: Setting<unknown>, name: string): unknown {
    const value = isRawScalar(node) ? type.read(node) : undefined;
    if (value !== undefined) return value;
    // Secrets are texts, and a text takes every scalar: what is shown here is never one.
    const hint = isRawScalar(node) ? type.hint?.(node) : undefined;
    unreadable(hint ? `: ${hint}` : ` is ${describeRaw(node)}, allowed is ${type.allowed}`, name);
    return undefined;
  }

  try {
    const tree = readSection(parseYamlMap(text), keys, '');
    warnOfIgnoredKeys(ignored, source, report);
    return tree;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    report.unreadable(`${options.quoted} is malformed: ${error.message}`, 'all');
    return {};
  }
}

/** The mistake that the deployment's own templates suggest. */
function placeHint(key: string): string {
  return key === 'uaa' ? ' (it belongs under metricCollector.uaa)' : '';
}

function warnOfIgnoredKeys(ignored: readonly string[], source: string, report: Report): void {
  if (ignored.length === 0) return;
  const named = ignored.slice(0, maxNamed).map((key) => key + placeHint(key));
  const more = ignored.length - named.length;
  const list = named.join(', ') + (more > 0 ? ` and ${more} more` : '');
  report.warn(`Unknown keys of the ${source} are ignored, remove or correct them: ${list}.`);
}
