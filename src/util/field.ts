/** A field of what came from outside, as JSON or thrown; undefined where that is no object, or has no such field. */
export function fieldOf(owner: unknown, name: string): unknown {
  return typeof owner === 'object' && owner !== null ? (Reflect.get(owner, name) as unknown) : undefined;
}
