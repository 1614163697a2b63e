import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock, Timer } from '../util/clock.js';

/** At least one address, in the order in which they are to be tried. */
export type Addresses = readonly LookupAddress[];

/** No address for a name. The message is a clause that names it. */
export class NameError extends Error {
  override readonly name = 'NameError';

  constructor(
    host: string,
    /** `ENOTFOUND`: there is no such name. All others may be temporary. */
    readonly code: string,
    reason: string,
  ) {
    super(`the name ${host} was not resolved: ${reason}`);
  }
}

/** Callers wait for this long. What comes later serves the next caller. */
const deadlineMs = 2_000;
/** How long they wait where there are addresses from before. */
const deadlineWithAddressesMs = 500;
/** Older addresses may belong to another host by now. */
const addressesLastMs = 3_600_000;
/** Names come from the configuration, which has only a few. */
const maxNames = 64;

interface Name {
  /** What the last lookup that went well found, and when (monotonic ms). */
  found: { readonly addresses: Addresses; readonly atMs: number } | null;
  isLookedUp: boolean;
  /** The wait that all present callers share; null also where a lookup takes longer than callers wait. */
  wait: Wait | null;
}

interface Wait {
  readonly outcome: Promise<Addresses>;
  readonly resolve: (addresses: Addresses) => void;
  readonly reject: (error: NameError) => void;
  readonly deadline: Timer;
}

/**
 * Resolves host names with one lookup a name at a time, with a deadline, and with the last good addresses where DNS
 * fails.
 */
export class NameLookups {
  readonly #names = new Map<string, Name>();

  /** @param find Rejects where there is no address, and ends by itself. */
  constructor(
    private readonly find: (host: string) => Promise<Addresses>,
    private readonly clock: Clock,
  ) {}

  /** Rejects with a NameError. */
  resolve(host: string): Promise<Addresses> {
    const family = isIP(host);
    if (family !== 0) return Promise.resolve([{ address: host, family }]);
    const name = this.#nameOf(host);
    const addresses = this.#lastGood(name);
    // Earlier callers have waited for the same lookup in vain.
    if (addresses && name.isLookedUp && !name.wait) return Promise.resolve(addresses);
    name.wait ??= this.#wait(host, name, addresses ? deadlineWithAddressesMs : deadlineMs);
    if (!name.isLookedUp) this.#lookUp(host, name);
    return name.wait.outcome;
  }

  /** Whether a caller waits for the name now. */
  isPending(host: string): boolean {
    const name = this.#names.get(host);
    return name !== undefined && name.wait !== null;
  }

  #wait(host: string, name: Name, timeoutMs: number): Wait {
    let resolve!: Wait['resolve'];
    let reject!: Wait['reject'];
    const outcome = new Promise<Addresses>((...settle) => ([resolve, reject] = settle));
    const deadline = this.clock.setTimer(timeoutMs, () =>
      this.#end(name, new NameError(host, 'ETIMEOUT', `DNS did not answer within ${timeoutMs} ms`)),
    );
    return { outcome, resolve, reject, deadline };
  }

  #lookUp(host: string, name: Name): void {
    name.isLookedUp = true;
    this.find(host).then(
      (addresses) => {
        name.isLookedUp = false;
        name.found = { addresses, atMs: this.clock.monotonic() };
        this.#end(name, null);
      },
      (error: unknown) => {
        name.isLookedUp = false;
        this.#end(name, nameError(host, error));
      },
    );
  }

  /** Ends the wait of all callers. */
  #end(name: Name, error: NameError | null): void {
    const { wait } = name;
    if (wait === null) return;
    name.wait = null;
    wait.deadline.cancel();
    const addresses = this.#lastGood(name);
    // That there is no such name is an answer of DNS, and no failure.
    if (addresses && error?.code !== 'ENOTFOUND') wait.resolve(addresses);
    else wait.reject(error as NameError);
  }

  #lastGood({ found }: Name): Addresses | null {
    return found && this.clock.monotonic() - found.atMs < addressesLastMs ? found.addresses : null;
  }

  #nameOf(host: string): Name {
    let name = this.#names.get(host);
    if (name) return name;
    const oldest = this.#names.keys().next();
    if (this.#names.size >= maxNames && !oldest.done) this.#names.delete(oldest.value);
    name = { found: null, isLookedUp: false, wait: null };
    this.#names.set(host, name);
    return name;
  }
}

function nameError(host: string, error: unknown): NameError {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? 'unknown';
  if (code === 'ETIMEOUT') return new NameError(host, code, 'DNS did not answer');
  const isUnknown = code === 'ENOTFOUND' || code === 'ENODATA';
  return isUnknown
    ? new NameError(host, 'ENOTFOUND', 'DNS knows no address for it (ENOTFOUND)')
    : new NameError(host, code, `DNS failed (${code})`);
}
