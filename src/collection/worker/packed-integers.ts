/*
 * Integers as a string of bytes: a string costs less than an array to copy between threads and to keep. Small integers
 * take one byte. The first byte has the sign and six bits, each further byte seven; the highest bit says that another
 * byte follows.
 */

const more = 0x80;
const negative = 0x40;
/** Of an integer of 53 bits: six and seven times seven. */
const mostBytesEach = 8;

/** Safe integers only. */
export function packIntegers(integers: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(integers.length * mostBytesEach);
  let length = 0;
  for (const integer of integers) {
    // Most integers are small and need no floating-point arithmetic.
    if (integer >= 0 && integer < 64) {
      bytes[length++] = integer;
      continue;
    }
    const magnitude = Math.abs(integer);
    let rest = Math.floor(magnitude / 64);
    bytes[length++] = (magnitude % 64) + (integer < 0 ? negative : 0) + (rest > 0 ? more : 0);
    while (rest > 0) {
      const higher = Math.floor(rest / 128);
      bytes[length++] = (rest % 128) + (higher > 0 ? more : 0);
      rest = higher;
    }
  }
  return bytes.toString('latin1', 0, length);
}

export function unpackIntegers(packed: string): number[] {
  const integers: number[] = [];
  for (let at = 0; at < packed.length;) {
    const first = packed.charCodeAt(at++);
    let magnitude = first & 63;
    let follows = first >= more;
    for (let scale = 64; follows; scale *= 128) {
      const byte = packed.charCodeAt(at++);
      magnitude += (byte & 127) * scale;
      follows = byte >= more;
    }
    integers.push((first & negative) === 0 ? magnitude : -magnitude);
  }
  return integers;
}
