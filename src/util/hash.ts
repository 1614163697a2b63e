/** Taken out of its global once: these few lines run millions of times when the members change. */
const { imul } = Math;

/** FNV-1a, 32 bit, over the UTF-8 bytes of a string: what the Go eventgenerator shards by. Returns 0..2³²−1. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return fnv1a32OfBytes(Buffer.from(text, 'utf8'));
    hash = imul(hash ^ code, 0x01000193);
  }
  return hash >>> 0;
}

function fnv1a32OfBytes(bytes: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/**
 * Spreads a 32-bit number over all its bits (the finaliser of MurmurHash3, 32 bit). FNV alone mixes its low bits
 * only, which shows as soon as hashes are compared by size or cut into ranges. Returns 0..2³²−1.
 */
export function mix32(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash >>> 0;
}
