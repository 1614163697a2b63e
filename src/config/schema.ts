import convict from 'convict';
import { keys, type ConfigValues } from './keys.js';
import type { Tree } from './read-tree.js';
import type { Report } from './report.js';
import { isSetting, type Section, type Setting } from './setting.js';

/**
 * Lays the sources over the defaults, later ones over earlier ones and the environment over all, and checks every
 * value's range. convict only ever sees values of the right type, so it has nothing to coerce.
 */
export function applySchema(trees: readonly Tree[], env: NodeJS.ProcessEnv, report: Report): ConfigValues {
  // An empty variable is one that a manifest left open.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const problems = new Map<string, string>();
  const schema = definition(keys, '', problems) as convict.Schema<Tree>;
  const config = convict(schema, { env: given, args: [] });
  for (const tree of trees) config.load(tree);
  try {
    config.validate({ allowed: 'strict' });
  } catch (error) {
    // convict joins what its formats found to one text.
    if (problems.size === 0) throw error;
  }
  for (const [key, problem] of problems) report.invalid(key, problem);
  return config.getProperties() as unknown as ConfigValues;
}

function definition(section: Section, path: string, problems: Map<string, string>): Tree {
  return Object.fromEntries(
    Object.entries(section).map(([name, entry]) => {
      const key = path + name;
      return [name, isSetting(entry) ? leaf(entry, key, problems) : definition(entry, `${key}.`, problems)];
    }),
  );
}

function leaf(setting: Setting<unknown>, key: string, problems: Map<string, string>) {
  return {
    ...setting,
    format(value: unknown) {
      const problem = setting.problemOf?.(value);
      if (problem === undefined) return;
      problems.set(key, problem);
      throw new Error(problem);
    },
  };
}
