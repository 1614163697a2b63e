import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/*
 * Loaded before the eventgenerator (`node --import`), in each of its threads: names of the platform get their
 * addresses from here, so that a run can take away one name and not another. Like libuv it looks up two names at
 * once, and a lookup that hangs keeps its place.
 */

/** What a file says of a name: `hang` answers after libc's usual five seconds twice, `fail` at once that there is none. */
type NameFault = 'hang' | 'fail';
type Answer = (error: NodeJS.ErrnoException | null, address?: unknown, family?: number) => void;

const domain = '.platform.test';
const lookupsAtOnce = 2;
const hangMs = 10_000;
const file = process.env['CHAOS_NAMES_FILE'];
const real = dns.lookup;
const waiting: (() => void)[] = [];
let running = 0;

function faultOf(name: string): NameFault | undefined {
  if (file === undefined) return undefined;
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as Record<string, NameFault>)[name];
  } catch {
    return undefined; // it is being written
  }
}

function next(): void {
  if (running >= lookupsAtOnce) return;
  const start = waiting.shift();
  if (!start) return;
  running++;
  start();
}

function lookUp(name: string, all: boolean, answer: Answer): void {
  const done = () => {
    running--;
    next();
    if (faultOf(name) === undefined) {
      if (all) answer(null, [{ address: '127.0.0.1', family: 4 }]);
      else answer(null, '127.0.0.1', 4);
      return;
    }
    answer(Object.assign(new Error(`getaddrinfo EAI_AGAIN ${name}`), noAddress(name)));
  };
  waiting.push(() => {
    if (faultOf(name) === 'hang') setTimeout(done, hangMs).unref();
    else setImmediate(done);
  });
  next();
}

function noAddress(hostname: string): Partial<NodeJS.ErrnoException> & { hostname: string } {
  return { code: 'EAI_AGAIN', errno: -3001, syscall: 'getaddrinfo', hostname };
}

function lookup(name: string, options: unknown, callback?: Answer): void {
  const answer = (callback ?? options) as Answer;
  if (!name.endsWith(domain)) {
    (real as (...args: unknown[]) => void)(...[name, options, callback].filter((each) => each !== undefined));
    return;
  }
  const all = typeof options === 'object' && (options as { all?: boolean } | null)?.all === true;
  lookUp(name, all, answer);
}

const realPromise = dns.promises.lookup;
function lookupPromise(name: string, options?: unknown): Promise<unknown> {
  if (!name.endsWith(domain)) return realPromise(name, options as dns.LookupOptions);
  const all = (options as { all?: boolean } | undefined)?.all === true;
  return new Promise((resolve, reject) =>
    lookUp(name, all, (error, address, family) => {
      if (error) reject(error);
      else resolve(all ? address : { address, family });
    }),
  );
}

dns.lookup = lookup as unknown as typeof dns.lookup;
dns.promises.lookup = lookupPromise as unknown as typeof dns.promises.lookup;
syncBuiltinESMExports();
