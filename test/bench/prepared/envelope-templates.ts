import { guidOf } from '../../platform/deterministic.js';
import { readAnswerJson } from '../../platform/envelope.js';
import { gaugeText, gaugeUnit, preparedApp, type PreparedApp } from './apps.js';

/** The envelopes of one tick of one instance, rendered but for what differs from app to app and tick to tick. */
export interface TickTemplate {
  readonly bytes: Buffer;
  readonly envelopes: number;
  /** Where the app's guid (36 characters), and its beginning as a part of the instance's guid (23), belong. */
  readonly guidsAt: readonly number[];
  readonly instanceGuidsAt: readonly number[];
  /** Where 19 digits of nanoseconds belong. */
  readonly timestampsAt: readonly number[];
  readonly values: readonly { readonly name: string; readonly at: number }[];
}

/** Of the 28 characters of an instance's guid these are the app's; the rest is the instance's number. */
export const instanceGuidLength = 23;

const markerUs = 1_111_222_233_334_445;
const markerGuid = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee';
const markerInstanceGuid = 'ffffffff-9999-4888-8777';

const cells = 16;

/** Every tag that Cloud Controller and the agents give a web container, wire facts 1.5. */
function webTags(instance: number): Record<string, string> {
  const cell = instance % cells;
  return {
    app_id: markerGuid,
    app_name: 'benchmark-app',
    deployment: 'cf',
    index: guidOf(cell),
    instance_id: String(instance),
    ip: `10.0.1.${cell + 10}`,
    job: 'diego-cell',
    organization_id: guidOf(1001),
    organization_name: 'acme',
    origin: 'rep',
    process_id: markerGuid,
    process_instance_id: `${markerInstanceGuid}-${String(instance).padStart(4, '0')}`,
    process_type: 'web',
    source_id: markerGuid,
    space_id: guidOf(1002),
    space_name: 'production',
  };
}

export function tickTemplate(instance: number, names: readonly string[]): TickTemplate {
  const example: PreparedApp = preparedApp(markerGuid, instance + 1);
  const tags = webTags(instance);
  const parts = names.map((name) => {
    const value = gaugeText(name, example, instance, 0);
    const answer = readAnswerJson([
      {
        timestampUs: markerUs,
        sourceId: markerGuid,
        instanceId: String(instance),
        tags,
        body: { type: 'GAUGE', metrics: { [name]: { unit: gaugeUnit(name) ?? '', value: 0 } } },
      },
    ]);
    // The number's own text: JavaScript would leave out zeros at its end.
    return envelopeOf(answer).replace('"value":0', `"value":${value}`);
  });
  const text = parts.join(',');
  const valuesAt = positions(text, '"value":').map((at) => at + '"value":'.length);
  return {
    bytes: Buffer.from(text, 'latin1'),
    envelopes: names.length,
    guidsAt: positions(text, markerGuid),
    instanceGuidsAt: positions(text, markerInstanceGuid),
    timestampsAt: positions(text, `${markerUs}000`),
    values: names.map((name, i) => ({ name, at: valuesAt[i] ?? 0 })),
  };
}

function envelopeOf(answer: string): string {
  return answer.slice('{"envelopes":{"batch":['.length, answer.lastIndexOf(']}}'));
}

function positions(text: string, part: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) found.push(at);
  return found;
}
