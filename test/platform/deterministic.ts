/*
 * Everything that looks random on the platform is a hash of a seed and a place, so that a run repeats exactly, any
 * moment can be computed without the moments before it, and asking twice gives the same answer.
 */

/** A well-mixed unsigned 32-bit hash of a hash and one more number (murmur3's finaliser). */
export function mix(hash: number, value: number): number {
  let h = (hash ^ Math.imul(value | 0, 0x9e3779b1) ^ Math.floor(value / 0x1_0000_0000)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function hashText(text: string, seed = 0): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h, text.length);
}

/** A hash as a number in [0, 1). */
export function fraction(hash: number): number {
  return hash / 0x1_0000_0000;
}

/** 36 characters that look like a version 4 UUID. */
export function guidOf(hash: number): string {
  const hex = [1, 2, 3, 4].map((part) => mix(hash, part).toString(16).padStart(8, '0')).join('');
  const variant = ((parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}
