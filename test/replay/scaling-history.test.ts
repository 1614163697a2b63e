import { describe, expect, test } from '@jest/globals';
import { instancesAt, parseScalingHistory, type InstanceCounts } from '../../src/replay/scaling-history.js';

const entry = (atMs: number, from: number, to: number, more: object = {}) => ({
  app_guid: 'app-1',
  timestamp: `${atMs}123456`,
  scaling_type: 0,
  status: 0,
  old_instances: from,
  new_instances: to,
  ...more,
});

/** Timestamps are numbers beyond what JavaScript holds exactly. */
function jsonOf(history: object): string {
  return JSON.stringify(history).replace(/"timestamp":"(\d+)"/g, '"timestamp":$1');
}

function counts(text: string): InstanceCounts {
  const parsed = parseScalingHistory(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.counts;
}

describe('the JSON of the API', () => {
  test('gives the number of instances before, between and after scalings, in whatever order they come', () => {
    const found = counts(jsonOf({ total_pages: 1, resources: [entry(3_000, 3, 2), entry(1_000, 1, 3)] }));
    expect([0, 999, 1_000, 2_999, 3_000, 9_999].map((atMs) => instancesAt(found, atMs))).toEqual([
      1, 1, 3, 3, 2, 2,
    ]);
  });

  test('says how many there were where nothing was done, as after a scaling by hand', () => {
    const resources = [
      entry(1_000, 1, 2),
      entry(2_000, 5, 5, { status: 2 }),
      entry(3_000, 5, -1, { status: 1 }),
    ];
    expect(instancesAt(counts(jsonOf(resources)), 2_500)).toBe(5);
    expect(instancesAt(counts(jsonOf(resources)), 3_500)).toBe(5);
  });

  test('names the app, and says where it is not the whole', () => {
    expect(parseScalingHistory(jsonOf({ total_pages: 2, resources: [entry(1, 1, 2)] }))).toMatchObject({
      appId: 'app-1',
      isPartial: true,
    });
    const older = { app_guid: undefined, app_id: 'app-2' };
    expect(parseScalingHistory(jsonOf([entry(1, 1, 2, older)]))).toMatchObject({ appId: 'app-2' });
    expect(parseScalingHistory(jsonOf([entry(1, 1, 2, { app_guid: undefined })]))).toMatchObject({
      appId: null,
      isPartial: false,
    });
  });
});

test('the table of the command line is read as well', () => {
  const table = `Showing history for app shop...
Scaling Type     	Status        	Instance Changes     	Time                          	Action                              	Error
dynamic          	failed        	2->-1                	2018-08-16T17:58:53+08:00     	-1 instance(s) because throughput   	app does not have policy set
dynamic          	succeeded     	2->3                 	2018-08-16T17:59:33+08:00     	+1 instance(s) because memoryused
scheduled        	succeeded     	3->6                 	2018-08-16T10:00:00Z          	3 instance(s) because limited by min
`;
  const found = counts(table);
  const at = (time: string) => instancesAt(found, Date.parse(time));
  expect([at('2018-08-16T09:59:00Z'), at('2018-08-16T09:59:40Z'), at('2018-08-16T10:00:01Z')]).toEqual([
    2, 3, 6,
  ]);
});

test.each([
  ['', 'it is neither the JSON of the API nor the table'],
  ['{"a":1}', 'it is neither'],
  ['[{"timestamp":1.5}]', 'it is neither'],
  ['{"resources":[]}', 'it has no entry'],
  ['Scaling Type Status Instance Changes Time Action Error\n', 'it has no entry'],
])('%j is no history', (text, problem) => {
  expect(parseScalingHistory(text)).toEqual({ ok: false, problem: expect.stringContaining(problem) });
});
