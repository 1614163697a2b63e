import type { CloudFoundry } from './cloud-foundry.js';
import type { Config } from './config.js';
import type { Report } from './report.js';
import type { ConfigValues } from './keys.js';

/**
 * How the work is shared. On Cloud Foundry ownership is elastic unless chosen otherwise, and under static sharding the
 * platform's index counts: one configuration serves all instances there, so an index in it would be everyone's.
 */
export function resolvePool(
  values: ConfigValues['pool'],
  platform: CloudFoundry | null,
  report: Report,
): Config['pool'] {
  const mode = (values.mode?.toLowerCase() ?? (platform ? 'elastic' : 'static')) as Config['pool']['mode'];
  const index = platform?.instanceIndex ?? values.instance_index ?? (platform ? null : 0);
  const total = values.total_instances;
  const isInRange = index !== null && index >= 0 && index < total;
  if (mode === 'static') {
    if (index === null) {
      report.environment(
        'CF_INSTANCE_INDEX is not set or is no integer: static sharding (pool.mode or EVENTGENERATOR_POOL_MODE) needs it',
      );
    } else if (!isInRange) {
      const from = platform ? ' (from CF_INSTANCE_INDEX)' : '';
      report.invalid(
        'pool.instance_index',
        `out of range: it is ${index}${from}, and pool.total_instances is ${total}; static sharding needs 0 <= instance_index < total_instances`,
        ['pool.total_instances'],
      );
    }
    if (platform && values.instance_index !== null && values.instance_index !== index) {
      report.warn(
        `pool.instance_index (${values.instance_index}) is ignored: on Cloud Foundry an instance's index is CF_INSTANCE_INDEX (${index}).`,
      );
    }
  } else if (total > 0) {
    report.warn(
      `pool.total_instances (${total}) and pool.instance_index are ignored: ownership is elastic. To shard statically set pool.mode or EVENTGENERATOR_POOL_MODE to static.`,
    );
  }
  return { mode, static: isInRange ? { totalInstances: total, instanceIndex: index } : null };
}
