import {
  serverNames,
  type Fault,
  type FaultRule,
  type Operation,
  type ServerName,
} from '../../platform/faults.js';
import type { Platform } from '../../platform/platform.js';
import type { FaultEffect } from '../diary.js';
import type { Random } from '../random.js';
import { pause } from '../play.js';
import { repeat, usualRecoverySecs, type FaultKind } from './fault.js';

/** One of several faults that meets every request of an operation. */
function answers(
  name: string,
  server: FaultRule['server'],
  operation: Operation | undefined,
  longestSecs: number,
  choose: (random: Random) => Fault,
  effects: readonly FaultEffect[] = [],
): FaultKind {
  return {
    name,
    longestSecs,
    effects,
    begin({ platform }, random) {
      const fault = choose(random);
      const rule = platform.faults.set({ server, ...(operation ? { operation } : {}), fault });
      return { detail: JSON.stringify(fault), end: () => rule.lift() };
    },
  };
}

/** What happens to one app alone. */
function oneApp(
  name: string,
  server: FaultRule['server'],
  operation: Operation | undefined,
  choose: (random: Random) => Fault,
): FaultKind {
  return {
    name,
    longestSecs: 60,
    begin({ platform, guids }, random) {
      const [app, fault] = [random.pick(guids), choose(random)];
      const rule = platform.faults.set({ server, app, fault, ...(operation ? { operation } : {}) });
      return { app, detail: `${app} ${JSON.stringify(fault)}`, end: () => rule.lift() };
    },
  };
}

function down(server: ServerName, name: string): FaultKind {
  return {
    name,
    longestSecs: 30,
    async begin({ platform }) {
      await platform.takeDown(server);
      return { detail: server, end: () => platform.bringUp(server) };
    },
  };
}

const statuses =
  (...all: number[]) =>
  (random: Random): Fault => ({
    kind: 'status',
    status: random.pick(all),
    // To where nobody listens, and no token may be sent.
    headers: { location: 'https://127.0.0.1:1/' },
    body: random.pick(['', 'upstream connect error\n', '{"code":"Internal-server-error","message":"no"}']),
  });
const kinds =
  (...all: Exclude<Fault['kind'], 'delay' | 'status'>[]) =>
  (random: Random) =>
    ({ kind: random.pick(all) }) as Fault;
const delay =
  (fromMs: number, toMs: number) =>
  (random: Random): Fault => ({
    kind: 'delay',
    ms: random.whole(fromMs, toMs),
  });

/** Machines of log-cache. */
export const nodes = 2;

/** The fault is over only when log-cache's gateway has found it again. */
async function bringBack({ logCacheRoute }: Platform): Promise<void> {
  logCacheRoute.bringUp('logCache');
  while (!logCacheRoute.gatewayIsConnected) await pause(200);
}

/** What a header Retry-After may say: too short, usual, far too long, and nonsense. */
const waits = [
  ...['0', '5', '3600', '99999999999999999999', '-1', 'soon'],
  ...['Wed, 21 Oct 2099 07:28:00 GMT', 'Wed, 21 Oct 2015 07:28:00 GMT'],
];

const uaaFaults: readonly FaultKind[] = [
  down('uaa', 'uaa.down'),
  answers('uaa.errors', 'uaa', 'token', 40, statuses(500, 502, 503, 429, 302)),
  answers(
    'uaa.bad-answers',
    'uaa',
    'token',
    40,
    kinds('garbage', 'compressed', 'hang', 'cut', 'stall', 'reset', 'unauthorized'),
  ),
  {
    name: 'uaa.revocations',
    longestSecs: 60,
    begin({ platform }, random) {
      const everyMs = random.whole(2_000, 12_000);
      return {
        detail: `every ${everyMs} ms`,
        end: repeat(everyMs, () => platform.tokens.revokeAll()),
      };
    },
  },
  {
    name: 'uaa.retry-after',
    longestSecs: 40,
    // However long UAA asks to be left alone, a minute is believed.
    recoverySecs: 60 + usualRecoverySecs,
    begin({ platform }, random) {
      const retryAfter = random.pick(waits);
      const fault: Fault = {
        kind: 'status',
        status: random.pick([429, 503]),
        headers: { 'retry-after': retryAfter },
      };
      const rule = platform.faults.set({ server: 'uaa', operation: 'token', fault });
      platform.tokens.revokeAll();
      return { detail: `${fault.status}, ${JSON.stringify(retryAfter)}`, end: () => rule.lift() };
    },
  },
  {
    // Whatever UAA issues, log-cache refuses until the fault ends.
    name: 'uaa.wrong-tokens',
    longestSecs: 60,
    begin({ platform }) {
      return { detail: 'refused as soon as issued', end: repeat(50, () => platform.tokens.revokeAll()) };
    },
  },
];

const logCacheFaults: readonly FaultKind[] = [
  down('logCache', 'log-cache.down'),
  answers('log-cache.slow', 'logCache', undefined, 40, delay(200, 3_000)),
  answers('log-cache.errors', 'logCache', undefined, 40, statuses(500, 502, 503, 429, 307)),
  answers(
    'log-cache.bad-answers',
    'logCache',
    undefined,
    40,
    kinds('garbage', 'compressed', 'hang', 'cut', 'stall', 'reset', 'unauthorized'),
  ),
  answers('log-cache.node-dead', 'logCache', undefined, 40, kinds('empty'), ['hides', 'partial']),
  answers('log-cache.nan', 'logCache', 'read', 40, kinds('nan'), ['hides', 'partial']),
  answers('log-cache.queries-hang', 'logCache', 'query', 60, kinds('hang')),
  answers('cloud-controller.hangs', 'cloudController', 'apps', 60, kinds('hang')),
  answers('cloud-controller.slow', 'cloudController', 'apps', 60, delay(500, 12_000)),
  answers('cloud-controller.errors', 'cloudController', 'apps', 40, statuses(403, 500)),
  {
    name: 'log-cache.node-lost',
    longestSecs: 40,
    effects: ['hides', 'partial'],
    begin({ platform: { logCacheNodes } }, random) {
      const node = random.whole(0, nodes - 1);
      logCacheNodes.takeDown(node);
      return { detail: `node ${node} of ${nodes}`, end: () => logCacheNodes.bringUp(node) };
    },
  },
  {
    name: 'log-cache.restart',
    longestSecs: 20,
    effects: ['hides', 'partial'],
    begin({ platform }) {
      platform.logCacheRoute.takeDown('logCache');
      return { detail: 'all nodes', end: () => bringBack(platform) };
    },
  },
  {
    name: 'log-cache.late',
    longestSecs: 60,
    effects: ['late'],
    begin({ lateStreams }, random) {
      const lateMs = random.pick([300, 5_000, 20_000, 45_000]);
      lateStreams.begin(lateMs, random.whole(0, 1_000_000));
      return {
        detail: `a third of the streams by ${lateMs / 1000} s`,
        end: async () => {
          lateStreams.end();
          await pause(lateMs);
        },
      };
    },
  },
  {
    name: 'log-cache.no-http-timers',
    longestSecs: 60,
    effects: ['timers'],
    begin({ platform: { httpForwarder } }) {
      httpForwarder.takeDown();
      return { detail: 'of all apps', end: () => httpForwarder.bringUp() };
    },
  },
  oneApp('log-cache.one-app', 'logCache', undefined, statuses(403, 404, 500, 504)),
  {
    name: 'log-cache.process-away',
    longestSecs: 30,
    begin({ platform: { logCacheRoute } }, random) {
      const part = random.pick(['gateway', 'proxy'] as const);
      logCacheRoute.takeDown(part);
      return { detail: part, end: () => logCacheRoute.bringUp(part) };
    },
  },
  answers('log-cache.queries-refused', 'logCache', 'query', 40, statuses(403, 500)),
];

const engineFaults: readonly FaultKind[] = [
  oneApp('engine.one-app', 'scalingEngine', 'scale', statuses(404, 422, 500, 401)),
  down('scalingEngine', 'engine.down'),
  answers('engine.slow', 'scalingEngine', 'scale', 40, delay(500, 15_000)),
  answers(
    'engine.errors',
    'scalingEngine',
    'scale',
    40,
    statuses(400, 404, 409, 422, 500, 502, 503, 401, 403, 429, 308),
  ),
  answers(
    'engine.bad-answers',
    'scalingEngine',
    'scale',
    40,
    kinds('garbage', 'compressed', 'hang', 'cut', 'stall', 'reset', 'unauthorized'),
  ),
];

const everything: FaultKind = {
  name: 'platform.all-down',
  longestSecs: 20,
  async begin({ platform }) {
    for (const server of serverNames) await platform.takeDown(server);
    return {
      detail: serverNames.join(', '),
      end: async () => {
        for (const server of serverNames) await platform.bringUp(server);
      },
    };
  },
};

export const platformFaults = [...uaaFaults, ...logCacheFaults, ...engineFaults, everything];
