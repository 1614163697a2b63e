/** `read`, which remembers what it made of each text. For lists in which few texts differ: nothing is forgotten. */
export function remembering<T extends NonNullable<unknown> | null>(
  read: (text: string) => T,
): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    let value = known.get(text);
    if (value === undefined) known.set(text, (value = read(text)));
    return value;
  };
}
