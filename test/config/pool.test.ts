import { describe, expect, test } from '@jest/globals';
import { loadFile, loadOnCloudFoundry, minimalService, minimalWith, refusal, type Json } from './support.js';

const onCloudFoundry = (pool: Json | null, env: NodeJS.ProcessEnv = {}) =>
  loadOnCloudFoundry({ ...minimalService, pool }, env);
const onVm = (pool: Json | null, env: NodeJS.ProcessEnv = {}) => loadFile(minimalWith({ pool }), env);
const outOfRange =
  'failed to validate configuration : Configuration error: pool.instance_index out of range: it is ';

describe('elastic', () => {
  test('is the default on Cloud Foundry, and says that the configured numbers are ignored', () => {
    const { config, warnings } = onCloudFoundry({ total_instances: 2 }, { CF_INSTANCE_INDEX: '1' });
    expect(config.pool).toEqual({ mode: 'elastic', static: { totalInstances: 2, instanceIndex: 1 } });
    expect(warnings).toEqual([
      'pool.total_instances (2) and pool.instance_index are ignored: ownership is elastic. To shard statically set pool.mode or EVENTGENERATOR_POOL_MODE to static.',
    ]);
  });

  test('an instance beyond total_instances works, without numbers to fall back to', () => {
    const { config } = onCloudFoundry({ total_instances: 2 }, { CF_INSTANCE_INDEX: '7' });
    expect(config.pool).toEqual({ mode: 'elastic', static: null });
    expect(config.instance.index).toBe(7);
  });

  test.each([null, {}, { total_instances: 0 }])('%j: nothing is said', (pool) => {
    expect(onCloudFoundry(pool)).toMatchObject({
      config: { pool: { mode: 'elastic', static: null } },
      warnings: [],
    });
  });

  test('can be chosen on a VM', () => {
    expect(onVm({ mode: 'elastic' }).config.pool).toEqual({ mode: 'elastic', static: null });
    expect(onVm({ mode: 'elastic', total_instances: 3, instance_index: 2 }).config).toMatchObject({
      pool: { mode: 'elastic', static: { totalInstances: 3, instanceIndex: 2 } },
      instance: { index: 2 },
    });
  });

  test('does not need a readable index', () => {
    expect(onCloudFoundry({}, { CF_INSTANCE_INDEX: 'first' }).config.instance.index).toBe(0);
  });
});

describe('static', () => {
  test('is the default on a VM', () => {
    const { config, warnings } = onVm({ total_instances: 3, instance_index: 2 });
    expect(config.pool).toEqual({ mode: 'static', static: { totalInstances: 3, instanceIndex: 2 } });
    expect(config.instance).toEqual({ guid: 'vm-7', index: 2 });
    expect(warnings).toEqual([]);
  });

  test.each<[Json | null, string]>([
    [null, '0, and pool.total_instances is 0;'],
    [{ instance_index: 1 }, '1, and pool.total_instances is 0;'],
    [{ total_instances: 1, instance_index: 1 }, '1, and pool.total_instances is 1;'],
    [{ total_instances: 1, instance_index: -1 }, '-1, and pool.total_instances is 1;'],
    [{ total_instances: -3 }, '0, and pool.total_instances is -3;'],
  ])('%j is out of range', (pool, text) => {
    expect(refusal(() => onVm(pool))).toBe(
      `${outOfRange}${text} static sharding needs 0 <= instance_index < total_instances`,
    );
  });

  test('on Cloud Foundry the index is the platform’s, because all instances share one configuration', () => {
    const { config, warnings } = onCloudFoundry(
      { mode: 'static', total_instances: 3, instance_index: 0 },
      { CF_INSTANCE_INDEX: '2' },
    );
    expect(config.pool.static).toEqual({ totalInstances: 3, instanceIndex: 2 });
    expect(warnings).toEqual([
      "pool.instance_index (0) is ignored: on Cloud Foundry an instance's index is CF_INSTANCE_INDEX (2).",
    ]);
  });

  test('on Cloud Foundry an instance beyond total_instances is refused', () => {
    expect(
      refusal(() => onCloudFoundry({ mode: 'static', total_instances: 2 }, { CF_INSTANCE_INDEX: '2' })),
    ).toMatch(/out of range: it is 2 \(from CF_INSTANCE_INDEX\), and pool.total_instances is 2/);
  });

  test.each([undefined, '', 'first', '-1', '1.5'])('CF_INSTANCE_INDEX %j is not taken for 0', (index) => {
    const load = () => onCloudFoundry({ mode: 'static', total_instances: 2 }, { CF_INSTANCE_INDEX: index });
    expect(refusal(load)).toMatch(
      /^failed to read the Cloud Foundry environment: CF_INSTANCE_INDEX is not set/,
    );
  });
});

describe('EVENTGENERATOR_POOL_MODE', () => {
  test('wins over the configuration', () => {
    const env = { EVENTGENERATOR_POOL_MODE: 'static' };
    expect(onCloudFoundry({ mode: 'elastic', total_instances: 1 }, env).config.pool.mode).toBe('static');
    expect(onVm({ mode: 'static' }, { EVENTGENERATOR_POOL_MODE: 'ELASTIC' }).config.pool.mode).toBe(
      'elastic',
    );
  });

  test('is not set if it is empty', () => {
    expect(onVm({ mode: 'elastic' }, { EVENTGENERATOR_POOL_MODE: '' }).config.pool.mode).toBe('elastic');
  });

  test('is checked', () => {
    expect(refusal(() => onCloudFoundry({}, { EVENTGENERATOR_POOL_MODE: 'rubber' }))).toBe(
      'failed to validate configuration : Configuration error: pool.mode is "rubber", allowed are elastic, static (also for EVENTGENERATOR_POOL_MODE)',
    );
  });
});
