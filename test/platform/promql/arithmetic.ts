import type { Sample } from './aggregate.js';
import type { ArithmeticOperator } from './expression.js';
import { keyOf } from './series.js';

export type Operand =
  | { readonly type: 'scalar'; readonly value: number }
  | { readonly type: 'vector'; readonly samples: readonly Sample[] };

/** A sample of one vector goes with the sample of the other that has the same labels. */
export function calculate(operator: ArithmeticOperator, left: Operand, right: Operand): Operand {
  if (left.type === 'scalar') {
    if (right.type === 'scalar') {
      return { type: 'scalar', value: arithmetic(operator, left.value, right.value) };
    }
    return each(right.samples, (value) => arithmetic(operator, left.value, value));
  }
  if (right.type === 'scalar') return each(left.samples, (value) => arithmetic(operator, value, right.value));
  const partners = new Map(right.samples.map((sample) => [keyOf(sample.labels), sample.value]));
  const samples = left.samples.flatMap(({ labels, value }) => {
    const partner = partners.get(keyOf(labels));
    return partner === undefined ? [] : [{ labels, value: arithmetic(operator, value, partner) }];
  });
  return { type: 'vector', samples };
}

function each(samples: readonly Sample[], change: (value: number) => number): Operand {
  return { type: 'vector', samples: samples.map(({ labels, value }) => ({ labels, value: change(value) })) };
}

function arithmetic(operator: ArithmeticOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}
