import dns from 'node:dns';
import { readFileSync } from 'node:fs';

/*
 * Loaded before the eventgenerator (`node --import`), in each of its threads: plays the DNS servers for the names of
 * the platform, so that a run can take away one name and not another.
 */

/** What a file says of a name: with `hang` no server answers, with `fail` they say that there is no such name. */
type NameFault = 'hang' | 'fail';

const domain = '.platform.test';
/** As long as three tries take, each twice as long as the one before. */
const hangMs = 4_200;
const file = process.env['CHAOS_NAMES_FILE'];

function faultOf(name: string): NameFault | undefined {
  if (file === undefined) return undefined;
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as Record<string, NameFault>)[name];
  } catch {
    return undefined; // it is being written
  }
}

function failure(syscall: string, hostname: string, code: string): Error {
  return Object.assign(new Error(`${syscall} ${code} ${hostname}`), { code, syscall, hostname });
}

/** In place of one of the resolver's questions: `addresses` for a name that has no fault, none: it has no such record. */
function asked(question: 'resolve4' | 'resolve6', addresses: string[]): void {
  const { prototype } = dns.promises.Resolver;
  const real = prototype[question] as (name: string) => Promise<string[]>;
  const answer = async function (this: dns.promises.Resolver, name: string): Promise<string[]> {
    if (!name.endsWith(domain)) return real.call(this, name);
    const fault = faultOf(name);
    if (fault === 'hang') {
      await new Promise((resolve) => setTimeout(resolve, hangMs).unref());
      throw failure(question, name, 'ETIMEOUT');
    }
    if (fault === 'fail') throw failure(question, name, 'ENOTFOUND');
    if (addresses.length === 0) throw failure(question, name, 'ENODATA');
    return addresses;
  };
  prototype[question] = answer as unknown as (typeof prototype)[typeof question];
}

asked('resolve4', ['127.0.0.1']);
asked('resolve6', []);

const realLookup = dns.promises.lookup as (name: string, options?: unknown) => Promise<unknown>;
const lookup = async (name: string, options?: unknown): Promise<unknown> => {
  if (name.endsWith(domain)) throw failure('getaddrinfo', name, 'ENOTFOUND');
  return realLookup(name, options);
};
dns.promises.lookup = lookup as unknown as typeof dns.promises.lookup;
