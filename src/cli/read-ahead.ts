/** Reads up to `depth` items ahead of the consumer, in their order. Rejects at the first failure. */
export async function* readAhead<Item, Result>(
  items: Iterable<Item>,
  depth: number,
  read: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const reads: Promise<Result>[] = [];
  for (const item of items) {
    const result = read(item);
    // The consumer gets a failure when it takes the result. Until then it is not unhandled.
    result.catch(() => {});
    reads.push(result);
    const first = reads.length > depth ? reads.shift() : undefined;
    if (first) yield await first;
  }
  for (const result of reads) yield await result;
}
