import type { Clock } from '../../src/util/clock.js';

export interface UaaClient {
  readonly secret: string;
  readonly grants: readonly string[];
  /** Scopes of client_credentials tokens. */
  readonly authorities?: readonly string[];
  /** Apps that its tokens may read where they carry no admin scope. */
  readonly apps?: readonly string[];
  /** Lifetime of its tokens; default: the platform's. */
  readonly tokenLifetimeSecs?: number;
}

export interface UaaUser {
  readonly password: string;
  readonly scopes: readonly string[];
  readonly apps?: readonly string[];
}

/** Five failures within 20 minutes lock a user for five minutes. */
const maxFailures = 5;
const failureWindowMs = 1_200_000;
const lockoutMs = 300_000;

/** Clients and users, and who is locked out. */
export class UaaAccounts {
  readonly #clients: Map<string, UaaClient>;
  readonly #users: Map<string, UaaUser>;
  readonly #failures = new Map<string, number[]>();

  constructor(
    clients: Readonly<Record<string, UaaClient>>,
    users: Readonly<Record<string, UaaUser>>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {
    this.#clients = new Map(Object.entries(clients));
    this.#users = new Map(Object.entries(users));
  }

  /** Adds a client, or replaces it (another secret, other authorities). */
  setClient(id: string, client: UaaClient): void {
    this.#clients.set(id, client);
  }

  setUser(name: string, user: UaaUser): void {
    this.#users.set(name, user);
  }

  client(id: string, secret: string): UaaClient | undefined {
    const client = this.#clients.get(id);
    return client?.secret === secret ? client : undefined;
  }

  /** The user, or why there is none. Failures count, also of users that do not exist. */
  user(name: string, password: string): UaaUser | 'locked' | 'bad-credentials' {
    const now = this.clock.now();
    const failures = (this.#failures.get(name) ?? []).filter((at) => at > now - failureWindowMs);
    if (failures.length >= maxFailures && (failures.at(-1) ?? 0) > now - lockoutMs) return 'locked';
    const user = this.#users.get(name);
    if (user?.password === password) {
      this.#failures.delete(name);
      return user;
    }
    this.#failures.set(name, [...failures, now].slice(-maxFailures));
    return 'bad-credentials';
  }

  /** Whether a token without an admin scope may read an app. */
  mayRead(subject: string, app: string): boolean {
    const apps = this.#users.get(subject)?.apps ?? this.#clients.get(subject)?.apps ?? [];
    return apps.includes(app);
  }
}
