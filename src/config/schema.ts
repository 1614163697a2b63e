import convict from 'convict';
import type { ValidationErrors } from './validation-errors.js';
import { keys, type ConfigValues } from './keys.js';
import type { Tree } from './read-tree.js';
import { Setting, type Section } from './setting.js';

/**
 * Lays the sources over the defaults, later ones over earlier ones and the environment over all, and checks every
 * value's range. convict only ever sees values of the right type, so it has nothing to coerce.
 */
export function applySchema(
  trees: readonly Tree[],
  env: NodeJS.ProcessEnv,
  faults: ValidationErrors,
): ConfigValues {
  let found = 0;
  const report = (key: string, text: string) => {
    found += 1;
    faults.invalid(key, text);
  };
  const config = convict(definition(keys, '', report) as convict.Schema<Tree>, {
    env: withoutEmpty(env),
    args: [],
  });
  for (const tree of trees) config.load(tree);
  try {
    config.validate({ allowed: 'strict' });
  } catch (error) {
    // convict joins its findings to one text; the rules reported theirs one by one.
    if (found === 0) throw error;
  }
  return config.getProperties() as unknown as ConfigValues;
}

function definition(section: Section, path: string, report: (key: string, text: string) => void): Tree {
  const result: Tree = {};
  for (const [name, entry] of Object.entries(section)) {
    const key = path === '' ? name : `${path}.${name}`;
    result[name] = entry instanceof Setting ? leaf(entry, key, report) : definition(entry, key, report);
  }
  return result;
}

function leaf(setting: Setting<unknown>, key: string, report: (key: string, text: string) => void) {
  const { secret, env } = setting.options;
  return {
    default: setting.fallback,
    sensitive: secret === true,
    ...(env === undefined ? {} : { env }),
    format(value: unknown) {
      const text = setting.options.fault?.(value);
      if (text === undefined) return;
      report(key, text);
      throw new Error(text);
    },
  };
}

/** An empty variable is one that a manifest left open. */
function withoutEmpty(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}
