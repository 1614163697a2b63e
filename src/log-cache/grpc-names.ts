import { type ChannelOptions, experimental, Metadata, status } from '@grpc/grpc-js';
import { systemClock, type Timer } from '../util/clock.js';
import { resolveName } from '../dns/lookup.js';

const scheme = 'eventgenerator';

/** The library asks whenever a connection fails, without a pause of its own. */
const betweenLookupsMs = 2_000;

/** A target of a gRPC client whose name is resolved by src/dns. `address`: host:port */
export function grpcTarget(address: string): string {
  return `${scheme}:///${address}`;
}

type Endpoints = experimental.StatusOr<experimental.Endpoint[]>;

class NameResolver implements experimental.Resolver {
  readonly #target: string;
  /** Until the next lookup may begin; null where it may begin at once. */
  #pause: Timer | null = null;
  #isWanted = false;
  /** Tells lookups apart from those of before `destroy`. */
  #generation = 0;

  constructor(
    { path }: experimental.GrpcUri,
    private readonly listener: experimental.ResolverListener,
    _options: ChannelOptions,
  ) {
    this.#target = path;
  }

  updateResolution(): void {
    this.#isWanted = true;
    if (this.#pause === null) this.#ask();
  }

  destroy(): void {
    this.#generation++;
    this.#pause?.cancel();
    this.#pause = null;
    this.#isWanted = false;
  }

  #ask(): void {
    this.#isWanted = false;
    this.#pause = systemClock.setTimer(betweenLookupsMs, () => {
      this.#pause = null;
      if (this.#isWanted) this.#ask();
    });
    const generation = this.#generation;
    void endpointsOf(this.#target).then((endpoints) => {
      if (generation !== this.#generation) return;
      this.listener(endpoints, {}, null, '');
      // After an error the library waits for better news without asking.
      if (!endpoints.ok) this.updateResolution();
    });
  }

  static getDefaultAuthority({ path }: experimental.GrpcUri): string {
    return path;
  }
}

async function endpointsOf(target: string): Promise<Endpoints> {
  const { host, port } = experimental.splitHostPort(target) ?? { host: target };
  try {
    const addresses = await resolveName(host);
    return experimental.statusOrFromValue(
      addresses.map(({ address }) => ({ addresses: [{ host: address, port: port ?? 443 }] })),
    );
  } catch (error) {
    return experimental.statusOrFromError({
      code: status.UNAVAILABLE,
      details: (error as Error).message,
      metadata: new Metadata(),
    });
  }
}

experimental.registerResolver(scheme, NameResolver);
