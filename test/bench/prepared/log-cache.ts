import { preparedApp, type PreparedApp } from './apps.js';
import {
  emptyAnswer,
  headEnd,
  isOk,
  okHead,
  startBareHttpsServer,
  type BareHttpsServer,
  type BareRequest,
} from './bare-https-server.js';
import { parseQuery, queryAnswerBody } from './query-answer.js';
import { ReadAnswers } from './read-answer.js';

/** What was served so far. */
export interface LogCacheCounts {
  reads: number;
  queries: number;
  refused: number;
  envelopes: number;
  /** Of bodies. */
  bytes: number;
}

export interface SentAnswer {
  readonly guid: string;
  /** Wall-clock milliseconds with a fraction. */
  readonly sentAtMs: number;
}

export interface LogCacheOptions {
  readonly key: string;
  readonly cert: string;
  readonly delayMs: number;
  /** Instances of apps that are not special. */
  readonly instances: number;
  /** Apps with a breach to come or another number of instances, by guid. */
  readonly special: ReadonlyMap<string, PreparedApp>;
}

export interface LogCacheServer extends BareHttpsServer {
  readonly counts: LogCacheCounts;
  /** The body of the answer to an authorised request; null where it is refused. Without a delay. */
  bodyFor(path: string): string | null;
  /** Answers about apps of more than the ordinary number of instances. */
  readonly largeApps: readonly SentAnswer[];
}

const readPath = '/api/v1/read/';
const queryPath = '/api/v1/query?';
/** Gauge names are picked out of the two anchored forms of a name filter: one name, or alternatives in parentheses. */
const anchored = /^\^\(?([^()]*)\)?\$$/;
const maxLimit = 1000;

/** log-cache's two endpoints, for any app that is asked for. */
export async function startLogCache(options: LogCacheOptions): Promise<LogCacheServer> {
  const counts: LogCacheCounts = { reads: 0, queries: 0, refused: 0, envelopes: 0, bytes: 0 };
  const answers = new ReadAnswers();
  const largeApps: SentAnswer[] = [];
  const namesByFilter = new Map<string, readonly string[]>();

  const appOf = (guid: string) => options.special.get(guid) ?? preparedApp(guid, options.instances);

  function answer({ path, isAuthorized }: BareRequest): Buffer {
    const served = !isAuthorized
      ? null
      : path.startsWith(readPath)
        ? read(path.slice(readPath.length))
        : path.startsWith(queryPath)
          ? query(path.slice(queryPath.length))
          : null;
    if (served) return served;
    counts.refused++;
    return emptyAnswer(isAuthorized ? 400 : 404);
  }

  function read(rest: string): Buffer | null {
    const [guid = '', search = ''] = rest.split('?', 2);
    const parameters = new URLSearchParams(search);
    if (asksForOldest(parameters)) return oldest(guid, parameters.get('start_time') ?? '0');
    const names = namesOf(parameters.get('name_filter') ?? '');
    const limit = Number(parameters.get('limit') ?? 100);
    if (!names || !(limit > 0 && limit <= maxLimit) || parameters.get('descending') !== 'true') return null;
    const window = {
      fromUs: microseconds(parameters.get('start_time') ?? '0'),
      toUs: Math.min(microseconds(parameters.get('end_time') ?? '0'), Date.now() * 1000),
      names,
      limit,
    };
    // The length of the head depends on the body's: a number of as many digits gives the same.
    const headLength = okHead(10_000_000).length;
    const app = appOf(guid);
    const { bytes, envelopes } = answers.render(app, window, headLength);
    if (app.instances > options.instances) {
      largeApps.push({ guid, sentAtMs: performance.timeOrigin + performance.now() });
    }
    const bodyLength = bytes.length - headLength;
    const head = okHead(bodyLength);
    const start = headLength - head.length;
    bytes.write(head, start, 'latin1');
    counts.reads++;
    counts.envelopes += envelopes;
    counts.bytes += bodyLength;
    return start === 0 ? bytes : bytes.subarray(start);
  }

  /** Whatever the window, it is held from its start. */
  function oldest(guid: string, timestamp: string): Buffer {
    const gauge = { metrics: { cpu: { unit: 'percentage', value: 1 } } };
    const envelope = { timestamp, source_id: guid, instance_id: '0', tags: {}, gauge };
    const body = JSON.stringify({ envelopes: { batch: [envelope] } });
    counts.reads++;
    counts.envelopes++;
    counts.bytes += body.length;
    return Buffer.from(okHead(body.length) + body, 'latin1');
  }

  function query(search: string): Buffer | null {
    const parameters = new URLSearchParams(search);
    const parsed = parseQuery(parameters.get('query') ?? '', parameters.get('time') ?? '');
    if (!parsed) return null;
    const { body } = queryAnswerBody(parsed, parsed.sourceIds.map(appOf));
    counts.queries++;
    counts.bytes += body.length;
    return Buffer.from(okHead(body.length) + body, 'latin1');
  }

  function namesOf(filter: string): readonly string[] | null {
    let names = namesByFilter.get(filter);
    if (!names) {
      const alternatives = anchored.exec(filter)?.[1];
      if (alternatives === undefined) return null;
      namesByFilter.set(filter, (names = alternatives.split('|')));
    }
    return names;
  }

  const server = await startBareHttpsServer({
    ...options,
    answer,
    sent: (bytes) => answers.recycle(bytes),
  });
  return {
    ...server,
    counts,
    largeApps,
    bodyFor(path) {
      const bytes = answer({ path, isAuthorized: true });
      const body = isOk(bytes) ? bytes.toString('latin1', bytes.indexOf(headEnd) + headEnd.length) : null;
      answers.recycle(bytes);
      return body;
    },
  };
}

/** Whether only the oldest envelope is asked for, of whatever type. */
function asksForOldest(parameters: URLSearchParams): boolean {
  const isFirst = parameters.get('limit') === '1' && parameters.get('descending') !== 'true';
  return isFirst && !parameters.get('name_filter');
}

/** Decimal nanoseconds as microseconds, rounded up: the first envelope at or after a bound. */
function microseconds(nanoseconds: string): number {
  const us = Number(nanoseconds.slice(0, -3));
  return /[1-9]/.test(nanoseconds.slice(-3)) ? us + 1 : us;
}
