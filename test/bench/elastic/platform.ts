import { readAnswerJson } from '../../platform/envelope.js';
import { startPlatform } from '../../platform/platform.js';
import { appGuid } from '../prepared/apps.js';
import {
  emptyAnswer,
  okHead,
  startBareHttpsServer,
  type BareRequest,
} from '../prepared/bare-https-server.js';
import type { ElasticPlatformOptions, FromElasticPlatform, ToElasticPlatform } from './messages.js';
import { PlatformBooks } from './platform-books.js';
import { startScalingEngine } from './scaling-engine.js';

/*
 * The platform of the benchmark of elastic ownership, a process of its own: for each member a log-cache and a scaling
 * engine on ports of their own, with the leanest answers that make a cycle, and books of who asked for what and when.
 * Started by startElasticPlatform only.
 */

const options = JSON.parse(process.argv[2] ?? '{}') as ElasticPlatformOptions;
const tell = (message: FromElasticPlatform) => process.send?.(message);

const platform = await startPlatform({ apps: [] });
const issued = await platform.issueCertificate('elastic platform');
const server = { key: issued.key, cert: issued.chain };
const appByGuid = new Map(Array.from({ length: options.apps }, (_, app) => [appGuid(app), app]));
const breachesFromMs = new Map<number, number>();
const books = new PlatformBooks(Date.now);
let members = 0;

const readPath = '/api/v1/read/';
const quietCpu = 10;
const highCpu = 95;

/**
 * A cycle's read is answered with one gauge, whatever the stat window is: app metrics change at once when a breach
 * begins. The app's older envelopes are others, so that the window is held in full.
 */
function readAnswer({ path, isAuthorized }: BareRequest, member: number): Buffer {
  const [guid = '', search = ''] = path.slice(readPath.length).split('?', 2);
  const app = appByGuid.get(guid);
  const parameters = new URLSearchParams(search);
  const [startNs, endNs] = [parameters.get('start_time'), parameters.get('end_time')];
  if (!isAuthorized || !path.startsWith(readPath) || app === undefined || !startNs || !endNs) {
    return emptyAnswer(isAuthorized ? 400 : 404);
  }
  if (parameters.get('descending') !== 'true') {
    return gaugeAnswer(guid, Number(startNs.slice(0, -3)) + 1, { name: 'log_rate', value: 0 });
  }
  books.read(app, member);
  const endMs = Number(endNs.slice(0, -6));
  const timestampUs = (Math.floor(endMs / 1000) - 1) * 1_000_000;
  const isHigh = endMs >= (breachesFromMs.get(app) ?? Infinity);
  return gaugeAnswer(guid, timestampUs, { name: 'cpu', value: isHigh ? highCpu : quietCpu });
}

function gaugeAnswer(
  guid: string,
  timestampUs: number,
  { name, value }: { name: string; value: number },
): Buffer {
  const body = readAnswerJson([
    {
      timestampUs,
      sourceId: guid,
      instanceId: '0',
      tags: { origin: 'rep', process_type: 'web', process_instance_id: guid },
      body: { type: 'GAUGE', metrics: { [name]: { unit: 'percentage', value } } },
    },
  ]);
  return Buffer.from(okHead(body.length) + body, 'latin1');
}

async function open(): Promise<void> {
  const member = members++;
  const logCache = await startBareHttpsServer({
    ...server,
    delayMs: 0,
    answer: (request) => readAnswer(request, member),
  });
  const enginePort = await startScalingEngine({
    ...server,
    ca: platform.ca,
    triggered: (guid, coolDownMs) => {
      const atMs = Date.now();
      const coolDownUntilMs = atMs + coolDownMs;
      books.triggered({ app: appByGuid.get(guid) ?? -1, member, atMs, coolDownUntilMs });
      return coolDownUntilMs;
    },
  });
  tell({
    kind: 'opened',
    member,
    logCache: `https://127.0.0.1:${logCache.port}`,
    scalingEngine: `https://127.0.0.1:${enginePort}`,
  });
}

process.on('message', (message: ToElasticPlatform) => {
  switch (message.kind) {
    case 'open':
      void open();
      break;
    case 'breach':
      breachesFromMs.set(message.app, message.fromMs);
      break;
    case 'books':
      tell({ kind: 'books', ...books.take() });
  }
});
// The benchmark is gone, or done.
process.on('disconnect', () => process.exit());
// Ctrl-C reaches the whole group; the benchmark decides when the platform may end.
process.on('SIGINT', () => {});

tell({
  kind: 'ready',
  uaaUrl: platform.urls.uaa,
  ca: platform.ca,
  certificate: await platform.issueCertificate('eventgenerator'),
});
