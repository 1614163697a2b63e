import { parseEnvelope } from './envelope-json.js';
import { number } from './json-fields.js';
import type { GaugeEnvelope } from './log-cache.js';

/*
 * Reads log-cache's envelopes without building objects that are not used. Of an envelope's 750 characters all but forty,
 * mostly tags, are the same in every envelope of its container. The first envelope of a container is parsed as JSON and
 * leaves a template. Of those that follow only what differs from it is read.
 *
 * This is safe for two reasons. A template is text that JSON.parse has accepted, and what may differ from it are whole
 * tokens of a checked form: digits, strings without escapes, a number. And where a response does not look as expected,
 * it is parsed as a whole.
 */

/** What the envelopes of a container have in common. */
interface Template {
  /** From behind the digits of the timestamp to before the gauge's name. */
  readonly middle: string;
  readonly sourceId: string;
  readonly instanceId: string;
  readonly tags: Readonly<Record<string, string>>;
}

// Go writes a blank behind every comma or behind none, which differs from build to build.
const batchStart = /^\{"envelopes": ?\{"batch": ?\[/;
const batchEnd = /\]\}\}\s*$/y;
const timestampAt = /\{"timestamp": ?"(-?\d{1,19})/y;
const gaugeStart = /"gauge": ?\{"metrics": ?\{"/g;
/** Name, unit and value of an envelope's only gauge, to the envelope's end. The value may be a string: "NaN". */
const gaugeAt =
  /([^"\\\u0000-\u001f]*)": ?\{"unit": ?"([^"\\\u0000-\u001f]*)", ?"value": ?(?:"([^"\\\u0000-\u001f]*)"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?))\}\}\}\}/y;
/** Of a middle's beginning, which holds source and instance id: few templates share it. */
const keyLength = 90;

/** The envelopes of a /read response, or null if it has to be parsed as a whole. */
export function scanEnvelopes(body: string): GaugeEnvelope[] | null {
  const start = batchStart.exec(body);
  if (!start) return null;
  const envelopes: GaugeEnvelope[] = [];
  const templates = new Map<string, Template[]>();
  let template: Template | null = null;
  let at = start[0].length;
  if (body[at] === ']') return endsAt(body, at) ? envelopes : null;
  for (;;) {
    timestampAt.lastIndex = at;
    const timestamp = timestampAt.exec(body)?.[1];
    if (timestamp === undefined) return null;
    const middleAt = timestampAt.lastIndex;
    if (!template || !matches(template, body, middleAt)) {
      template = known(templates, body, middleAt) ?? learn(templates, body, at, middleAt);
      if (!template) return null;
    }
    gaugeAt.lastIndex = middleAt + template.middle.length;
    const [, name, unit, text, digits] = gaugeAt.exec(body) ?? [];
    if (name === undefined || unit === undefined) return null;
    const value = digits === undefined ? number(text, name) : Number(digits);
    const { sourceId, instanceId, tags } = template;
    envelopes.push({ timestamp, sourceId, instanceId, tags, metrics: [{ name, unit, value }] });

    at = gaugeAt.lastIndex;
    if (body[at] !== ',') return endsAt(body, at) ? envelopes : null;
    at += body[at + 1] === ' ' ? 2 : 1;
  }
}

function endsAt(body: string, at: number): boolean {
  batchEnd.lastIndex = at;
  return batchEnd.test(body);
}

function matches({ middle }: Template, body: string, at: number): boolean {
  // Equality of substrings is a memcmp; startsWith compares character by character.
  return body.substring(at, at + middle.length) === middle;
}

function known(templates: Map<string, Template[]>, body: string, at: number): Template | null {
  const candidates = templates.get(body.substring(at, at + keyLength));
  return candidates?.find((template) => matches(template, body, at)) ?? null;
}

/**
 * The template of the envelope that begins at `at`, its middle at `middleAt`. That JSON.parse accepts the text up to the
 * gauge's end proves that it is the whole envelope, and the gauge its own and not something within a tag: four braces
 * close what the beginning has opened.
 */
function learn(
  templates: Map<string, Template[]>,
  body: string,
  at: number,
  middleAt: number,
): Template | null {
  gaugeStart.lastIndex = middleAt;
  if (!gaugeStart.test(body)) return null;
  const middle = body.substring(middleAt, gaugeStart.lastIndex);
  gaugeAt.lastIndex = gaugeStart.lastIndex;
  if (!gaugeAt.test(body)) return null;
  let envelope: GaugeEnvelope;
  try {
    envelope = parseEnvelope(JSON.parse(body.substring(at, gaugeAt.lastIndex)));
  } catch {
    return null;
  }
  const { sourceId, instanceId, tags } = envelope;
  const template = { middle, sourceId, instanceId, tags };
  const key = middle.substring(0, keyLength);
  const candidates = templates.get(key);
  if (candidates) candidates.push(template);
  else templates.set(key, [template]);
  return template;
}
