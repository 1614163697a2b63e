import { hostname as systemHostname } from 'node:os';
import { readCloudFoundry } from './cloud-foundry.js';
import type { LoadedConfig } from './config.js';
import { openConfigFile, readTextFile } from './files.js';
import { readTree, type Tree } from './read-tree.js';
import { ConfigError, Report } from './report.js';
import { resolveConfig } from './resolve.js';
import { applySchema } from './schema.js';

export interface ConfigSource {
  /** The argument of `-c`. */
  readonly file?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Text of a file; throws with the system's message. For tests. */
  readonly readFile?: (path: string) => string;
  /** Name of this instance where Cloud Foundry gives it none. */
  readonly hostname?: string;
}

/**
 * The configuration from defaults, file, Cloud Foundry service and environment, later ones first.
 * @throws ConfigError with every validation error, one a line
 */
export function loadConfig(source: ConfigSource): LoadedConfig {
  const { file, env, readFile = readTextFile, hostname = systemHostname() } = source;
  const report = new Report();
  // Cloud Foundry always sets it.
  const vcapApplication = env['VCAP_APPLICATION'];
  if (!file && !vcapApplication) {
    throw new ConfigError(
      'failed to read config file: there is none: start with -c FILE, or on Cloud Foundry (VCAP_APPLICATION is not set)',
    );
  }
  const trees: Tree[] = [];
  if (file) {
    const text = openConfigFile(file, readFile);
    trees.push(
      readTree(text, { source: `file '${file}'`, quoted: `'${file}'`, rejectUnknownKeys: true }, report),
    );
  }
  const platform = vcapApplication
    ? readCloudFoundry(vcapApplication, env, Boolean(file), readFile, report)
    : null;
  const values = applySchema([...trees, ...(platform?.trees ?? [])], env, report);
  const config = resolveConfig(values, platform, hostname, report);
  report.throwIfInvalid();
  return { config, warnings: report.warnings };
}
