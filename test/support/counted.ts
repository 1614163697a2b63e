interface CounterWithOneLabel {
  get(): Promise<{ readonly values: readonly { readonly labels: object; readonly value: number }[] }>;
}

/** What a counter with one label has counted, by the label's value; without those that have counted nothing. */
export async function counted(counter: CounterWithOneLabel): Promise<Record<string, number>> {
  const { values } = await counter.get();
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ labels, value }) => [Object.values(labels).join(), value]),
  );
}
