import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { lookup } from '../dns/lookup.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { errorText } from '../util/errors.js';
import { trusting } from '../util/trusting.js';
import type { KeyPair } from '../tls/key-pair.js';

const agentOptions: AgentOptions = {
  lookup,
  keepAlive: true,
  /** Triggers are rare: more connections than this would only hide that the engine hangs. */
  maxSockets: 64,
  maxFreeSockets: 8,
  /** Less than the 90 s after which gorouter closes idle connections, so that few requests meet a closed one. */
  timeout: 60_000,
};

export type EngineAgent = HttpAgent | HttpsAgent;

export interface EngineAgentsOptions {
  /** Without TLS nothing of the rest is used. */
  readonly secure: boolean;
  readonly keyPair: KeyPair | null;
  readonly roots: CaCertificates;
}

/** Gives out an agent with the current client certificate and CA certificates. */
export class EngineAgents {
  readonly #stops: readonly (() => void)[];
  #current: EngineAgent;

  constructor(options: EngineAgentsOptions) {
    this.#current = createAgent(options);
    const replace = () => {
      const next = createAgent(options); // throws before anything has changed
      retire(this.#current);
      this.#current = next;
    };
    this.#stops = [options.roots, options.keyPair].flatMap((source) => source?.onChange(replace) ?? []);
  }

  current(): EngineAgent {
    return this.#current;
  }

  close(): void {
    for (const stop of this.#stops) stop();
    retire(this.#current);
  }
}

export function closeIdleConnections(agent: EngineAgent): void {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}

/** Requests under way finish on their connections, which are closed then. */
function retire(agent: EngineAgent): void {
  agent.maxFreeSockets = 0;
  closeIdleConnections(agent);
}

function createAgent({ secure, keyPair, roots }: EngineAgentsOptions): EngineAgent {
  if (!secure) return new HttpAgent(agentOptions);
  try {
    // One context for all connections: parsing hundreds of CA certificates takes tens of milliseconds.
    const secureContext = createSecureContext({ ...trusting(roots.current()), ...keyPair?.current() });
    return new HttpsAgent({ ...agentOptions, secureContext });
  } catch (cause) {
    throw new Error(
      `The client certificate for the scaling engine cannot be used for TLS: ${errorText(cause)}`,
      { cause },
    );
  }
}
