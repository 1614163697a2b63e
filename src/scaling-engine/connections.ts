import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { lookup } from '../dns/lookup.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { errorText } from '../util/errors.js';
import type { KeyPair } from '../tls/key-pair.js';

/** Triggers are rare and evaluators few: more sockets than this would only hide that the engine hangs. */
const MAX_SOCKETS = 64;
const MAX_IDLE_SOCKETS = 8;
/** Less than the 90 s after which gorouter closes idle connections, so that few requests meet a closed one. */
const IDLE_TIMEOUT_MS = 60_000;

/** Where a request's connection comes from. */
export interface Agents {
  /** Keeps connections for later requests. */
  readonly keepAlive: HttpAgent | HttpsAgent;
  /** Makes a new connection for every request. */
  readonly oneShot: HttpAgent | HttpsAgent;
}

export interface ConnectionsOptions {
  /** Plain HTTP where the URL says so; nothing of the rest counts then. */
  readonly secure: boolean;
  readonly keyPair: KeyPair | null;
  readonly roots: CaCertificates;
}

/**
 * Connections with the current client certificate and authorities. When these change, new requests get new connections,
 * while those under way finish on the old ones, which are closed then.
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #stops: (() => void)[];
  #current: Generation;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#current = this.#generation();
    const followed = [options.roots, ...(options.keyPair ? [options.keyPair] : [])];
    this.#stops = followed.map((each) => each.onChange(() => this.#replace()));
  }

  /** Runs a request on the connections of now; they stay until it has settled. */
  use<T>(request: (agents: Agents) => Promise<T>): Promise<T> {
    return this.#current.use(request);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#current.retire();
  }

  #replace(): void {
    const next = this.#generation(); // throws before anything has changed
    this.#current.retire();
    this.#current = next;
  }

  #generation(): Generation {
    const keepAlive: AgentOptions = {
      lookup,
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      maxFreeSockets: MAX_IDLE_SOCKETS,
      timeout: IDLE_TIMEOUT_MS,
    };
    if (!this.#options.secure) {
      return new Generation({ keepAlive: new HttpAgent(keepAlive), oneShot: new HttpAgent({ lookup }) });
    }
    // Made once: parsing hundreds of roots for every connection would cost tens of milliseconds each.
    const secureContext = this.#secureContext();
    return new Generation({
      keepAlive: new HttpsAgent({ ...keepAlive, secureContext }),
      oneShot: new HttpsAgent({ lookup, secureContext }),
    });
  }

  #secureContext() {
    const ca = [...this.#options.roots.current()];
    const pair = this.#options.keyPair?.current();
    try {
      return createSecureContext(pair ? { ca, key: pair.key, cert: pair.cert } : { ca });
    } catch (cause) {
      throw new Error(
        `The client certificate for the scaling engine cannot be used for TLS: ${errorText(cause)}`,
        { cause },
      );
    }
  }
}

/** The connections of one version of key pair and authorities. */
class Generation {
  readonly #agents: Agents;
  #requests = 0;
  #retired = false;

  constructor(agents: Agents) {
    this.#agents = agents;
  }

  async use<T>(request: (agents: Agents) => Promise<T>): Promise<T> {
    this.#requests++;
    try {
      return await request(this.#agents);
    } finally {
      this.#requests--;
      this.#closeIfUnused();
    }
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (!this.#retired || this.#requests > 0) return;
    this.#agents.keepAlive.destroy();
    this.#agents.oneShot.destroy();
  }
}
