import { gaugeText, gaugeUnit, ticksOf, type PreparedApp } from './apps.js';
import { instanceGuidLength, tickTemplate, type TickTemplate } from './envelope-templates.js';

export interface ReadWindow {
  /** Inclusive, microseconds. log-cache's timestamps are no finer: cycle a finer bound up. */
  readonly fromUs: number;
  /** Exclusive. */
  readonly toUs: number;
  readonly names: readonly string[];
  readonly limit: number;
}

export interface RenderedAnswer {
  /** The body, after room for the head of the HTTP answer. */
  readonly bytes: Buffer;
  readonly envelopes: number;
}

const opening = Buffer.from('{"envelopes":{"batch":[', 'latin1');
const closing = Buffer.from(']}}\n', 'latin1');
const comma = 0x2c;
/** An answer about three instances fits in. */
const usualBytes = 128 * 1024;
const maxFree = 256;

/**
 * Renders answers of /api/v1/read, newest first, by copying and filling in templates: some ten microseconds where
 * writing JSON would take hundreds. A page ends as log-cache's does: never within the envelopes of one timestamp.
 */
export class ReadAnswers {
  /** Buffers of answers that were sent: new ones for every answer would cost more than filling them in. */
  readonly #free: Buffer[] = [];
  /** By the names asked for, then by instance. */
  readonly #templates = new Map<string, TickTemplate[]>();

  /** Leaves headLength bytes free in front. */
  render(app: PreparedApp, window: ReadWindow, headLength: number): RenderedAnswer {
    const names = window.names.filter((name) => gaugeUnit(name) !== undefined);
    const ticks = newestTicks(app, window, names.length);
    const templates = new Map<number, TickTemplate>();
    let length = headLength + opening.length + Math.max(0, ticks.length - 1) + closing.length;
    for (const { instance } of ticks) {
      const own = templates.get(instance) ?? filledIn(this.#template(names, instance), app);
      templates.set(instance, own);
      length += own.bytes.length;
    }

    const bytes = this.#buffer(length);
    bytes.set(opening, headLength);
    let at = headLength + opening.length;
    for (const [i, { instance, timeUs }] of ticks.entries()) {
      if (i > 0) bytes[at++] = comma;
      const own = templates.get(instance);
      if (own) at += writeTick(bytes, at, own, app, instance, timeUs);
    }
    bytes.set(closing, at);
    return { bytes, envelopes: ticks.length * names.length };
  }

  /** Takes an answer back that was rendered here and is not needed any more. */
  recycle({ buffer }: Buffer): void {
    if (buffer.byteLength === usualBytes && this.#free.length < maxFree) this.#free.push(Buffer.from(buffer));
  }

  #buffer(length: number): Buffer {
    if (length > usualBytes) return Buffer.allocUnsafeSlow(length);
    return (this.#free.pop() ?? Buffer.allocUnsafeSlow(usualBytes)).subarray(0, length);
  }

  #template(names: readonly string[], instance: number): TickTemplate {
    const key = names.join('|');
    let templates = this.#templates.get(key);
    if (!templates) this.#templates.set(key, (templates = []));
    return (templates[instance] ??= tickTemplate(instance, names));
  }
}

/** Whole ticks, newest first, until the limit is reached: the envelopes of a tick share their timestamp. */
function newestTicks(app: PreparedApp, { fromUs, toUs, limit }: ReadWindow, envelopesPerTick: number) {
  const ticks: { instance: number; timeUs: number }[] = [];
  if (envelopesPerTick === 0) return ticks;
  for (let instance = 0; instance < app.instances; instance++) {
    for (const timeUs of ticksOf(app, instance, fromUs, toUs)) ticks.push({ instance, timeUs });
  }
  ticks.sort((a, b) => b.timeUs - a.timeUs);
  return ticks.slice(0, Math.ceil(limit / envelopesPerTick));
}

function filledIn(template: TickTemplate, app: PreparedApp): TickTemplate {
  const bytes = Buffer.from(template.bytes);
  const guid = Buffer.from(app.guid, 'latin1');
  const instanceGuid = guid.subarray(0, instanceGuidLength);
  for (const at of template.guidsAt) bytes.set(guid, at);
  for (const at of template.instanceGuidsAt) bytes.set(instanceGuid, at);
  return { ...template, bytes };
}

function writeTick(
  target: Buffer,
  at: number,
  template: TickTemplate,
  app: PreparedApp,
  instance: number,
  timeUs: number,
): number {
  target.set(template.bytes, at);
  const nanoseconds = `${timeUs}000`;
  for (const offset of template.timestampsAt) writeText(target, at + offset, nanoseconds);
  for (const { name, at: offset } of template.values) {
    writeText(target, at + offset, gaugeText(name, app, instance, timeUs));
  }
  return template.bytes.length;
}

/** For a dozen characters quicker than Buffer's own methods, which leave JavaScript. */
function writeText(target: Buffer, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
}
