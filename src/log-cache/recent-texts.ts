import type { Reader } from './protobuf-fields.js';

const slots = 1024;
/** Longer ones hardly repeat. Below 128, so that the length takes one byte. */
const maxLength = 64;

/**
 * Reads strings of which most were read before, and then makes none: one is found by its bytes, which takes a fraction of
 * the time. Only ASCII is found; each of its characters is one byte.
 */
export class RecentTexts {
  readonly #texts: string[] = Array.from({ length: slots }, () => '');

  /** Reads what `reader.string()` reads. */
  read(reader: Reader): string {
    const { buf, pos } = reader;
    const length = buf[pos] ?? 0;
    const end = pos + 1 + length;
    if (length > maxLength || end > reader.len) return reader.string();
    const slot = slotOf(buf, pos + 1, end);
    const known = this.#texts[slot] ?? '';
    if (known.length === length && isAt(known, buf, pos + 1)) {
      reader.pos = end;
      return known;
    }
    const text = reader.string();
    this.#texts[slot] = text;
    return text;
  }
}

/** By the length and the bytes in which ids and names differ most. */
function slotOf(buf: Uint8Array, start: number, end: number): number {
  const last = end > start ? (buf[end - 1] ?? 0) : 0;
  const beforeLast = end - 1 > start ? (buf[end - 2] ?? 0) : 0;
  return ((end - start) * 67 + last * 31 + beforeLast * 7) % slots;
}

function isAt(text: string, buf: Uint8Array, start: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== buf[start + i]) return false;
  return true;
}
