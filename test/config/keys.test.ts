import { expect, test } from '@jest/globals';
import { keys } from '../../src/config/keys.js';
import { isSetting, type Section } from '../../src/config/setting.js';
import { keyTable } from './key-table.js';
import { loadFile, minimal, minimalWith, refusal } from './support.js';

/** Static sharding needs a number of instances, which has no default. */
const base = { 'pool.total_instances': 1 };

test('the table holds every key', () => {
  const named = (section: Section, path: string): string[] =>
    Object.entries(section).flatMap(([name, entry]) =>
      isSetting(entry) ? [path + name] : named(entry, `${path}${name}.`),
    );
  expect(keyTable.map((row) => row.key)).toEqual(named(keys, ''));
});

test.each(keyTable.filter((row) => 'byDefault' in row))('$key has its default', ({ of, byDefault }) => {
  expect(of?.(loadFile(minimalWith(base)).config)).toEqual(byDefault);
});

test.each(keyTable)('$key takes a value', ({ key, of, good, resolved }) => {
  const pair = key.replace(/(key|cert)_file$/, (name) => (name === 'key_file' ? 'cert_file' : 'key_file'));
  const other = pair === key ? {} : { [pair]: '/pair.pem' };
  const { config } = loadFile(minimalWith({ ...base, ...other, [key]: good }));
  if (of) expect(of(config)).toEqual(resolved);
});

test.each(keyTable)('$key: null is as if it were not there', ({ key }) => {
  const without = minimalWith({ ...base, [key]: undefined });
  const withNull = minimalWith({ ...base, [key]: null });
  expect(outcome(withNull)).toEqual(outcome(without));
});

test.each(keyTable)('$key of the wrong type is the only fault', ({ key, wrongType }) => {
  const message = refusal(() => loadFile(minimalWith({ ...base, [key]: wrongType })));
  expect(message).toMatch(
    new RegExp(`^failed to read config file: ${key} is .*, allowed is .* \\(file 'eg.yml'\\)$`),
  );
});

test.each(keyTable.flatMap(({ key, outOfRange = [] }) => outOfRange.map((value) => ({ key, value }))))(
  '$key may not be $value',
  ({ key, value }) => {
    const message = refusal(() => loadFile(minimalWith({ ...base, [key]: value })));
    expect(message).toMatch(
      new RegExp(`^failed to validate configuration : Configuration error: ${key} [^\n]+$`),
    );
    expect(message).toMatch(/allowed|should be between|static sharding needs/);
  },
);

test('the words of the Go eventgenerator begin the messages', () => {
  const message = refusal(() =>
    loadFile(
      minimalWith({
        'db.policy_db.url': '',
        'scalingEngine.scaling_engine_url': '',
        'metricCollector.metric_collector_url': '',
        'aggregator.save_interval': 0,
        'evaluator.evaluator_count': 0,
        defaultBreachDurationSecs: 10,
        http_client_timeout: '0s',
      }),
    ),
  );
  for (const words of [
    'db.policy_db.url is empty',
    'scalingEngine.scaling_engine_url is empty',
    'metricCollector.metric_collector_url is empty',
    'aggregator.save_interval is less-equal than 0',
    'evaluator.evaluator_count is less-equal than 0',
    'defaultBreachDurationSecs should be between 60 and 3600',
    'http_client_timeout is less-equal than 0',
    'pool.instance_index out of range',
  ]) {
    expect(message).toContain(`failed to validate configuration : Configuration error: ${words}`);
  }
  expect(message.split('\n')).toHaveLength(8);
});

test('the minimal file is accepted as it is', () => {
  expect(loadFile({ ...minimal, pool: { total_instances: 1 } }).warnings).toEqual([]);
});

function outcome(content: Record<string, unknown>): unknown {
  try {
    return loadFile(content);
  } catch (error) {
    return String(error);
  }
}
