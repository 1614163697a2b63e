import { hostname as systemHostname } from 'node:os';
import { readCloudFoundry, vcapApplicationOf } from './cloud-foundry.js';
import type { LoadedConfig } from './config.js';
import { ConfigError, ValidationErrors } from './validation-errors.js';
import { openConfigFile, readTextFile } from './files.js';
import { keys } from './keys.js';
import { readTree, type ReadTree } from './read-tree.js';
import { resolveConfig } from './resolve.js';
import { applySchema } from './schema.js';
import { parseYamlMap, YamlError } from './yaml-text.js';

export { ConfigError } from './validation-errors.js';

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
 * @throws ConfigError with every fault that was found, one a line
 */
export function loadConfig(source: ConfigSource): LoadedConfig {
  const faults = new ValidationErrors();
  const vcapApplication = vcapApplicationOf(source.env);
  if (!source.file && vcapApplication === undefined) {
    throw new ConfigError(
      'failed to read config file: there is none: start with -c FILE, or on Cloud Foundry (VCAP_APPLICATION is not set)',
    );
  }
  const readFile = source.readFile ?? readTextFile;
  const file = source.file ? readConfigFile(source.file, readFile, faults) : null;
  const platform =
    vcapApplication === undefined
      ? null
      : readCloudFoundry(vcapApplication, source.env, Boolean(source.file), readFile, faults);
  const values = applySchema([...(file ? [file.tree] : []), ...(platform?.trees ?? [])], source.env, faults);
  const warnings = [...(file?.warnings ?? []), ...(platform?.warnings ?? [])];
  const config = resolveConfig(values, platform, source.hostname ?? systemHostname(), faults, warnings);
  faults.throwIfAny();
  return { config, warnings };
}

function readConfigFile(
  path: string,
  readFile: (path: string) => string,
  faults: ValidationErrors,
): ReadTree | null {
  const text = openConfigFile(path, readFile);
  try {
    return readTree(parseYamlMap(text), keys, { source: `file '${path}'`, refuseUnknownKeys: true }, faults);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    faults.unreadable(`'${path}' is malformed: ${error.message}`, 'all');
    return null;
  }
}
