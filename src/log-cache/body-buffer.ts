/** Answers of most apps fit in it. */
const usualBytes = 64 * 1024;
/** A connection that once brought a page of a thousand envelopes must not hold its megabyte for ever. */
const mostKeptBytes = 256 * 1024;

/**
 * Where a connection gathers the body of an answer, and that of the next one again: a new buffer for each would make the
 * garbage collector walk the whole heap every few hundred answers.
 */
export class BodyBuffer {
  #bytes = Buffer.allocUnsafeSlow(usualBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = length;
  }

  text(): string {
    return this.#bytes.toString('utf8', 0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > mostKeptBytes) this.#bytes = Buffer.allocUnsafeSlow(usualBytes);
  }
}
