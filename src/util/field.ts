/** A field of what was read as JSON; undefined where that is no object, or has no such field. */
export function fieldOf(owner: unknown, name: string): unknown {
  return typeof owner === 'object' && owner !== null ? (Reflect.get(owner, name) as unknown) : undefined;
}
