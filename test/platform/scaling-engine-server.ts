import type { Books } from './books.js';
import { hasFault, type Answer, type Exchange } from './exchange.js';
import type { FaultSwitch } from './faults.js';
import type { ScalingEngine, ScalingOutcome } from './scaling-engine.js';
import { parseTrigger } from './scaling-trigger.js';

export interface ScalingEngineDependencies {
  readonly engine: ScalingEngine;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served' | 'triggered'>;
}

/** What is added to a cool-down's whole ms, so that its nanoseconds do not fit a JavaScript number exactly. */
const nsOfMs = '456789';

/** POST /v1/apps/{appid}/scale. The app of the path counts, not the one in the body. */
export function scalingEngineHandler(
  dependencies: ScalingEngineDependencies,
): (exchange: Exchange) => Promise<void> {
  const { faults, books } = dependencies;
  return async (exchange) => {
    const appId = /^\/v1\/apps\/([^/]+)\/scale$/.exec(exchange.url.pathname)?.[1];
    if (appId === undefined) return exchange.answer({ status: 404, body: '404 page not found\n' });
    if (exchange.method !== 'POST') return exchange.answer({ status: 405 });
    const { receivedMs } = exchange;
    const met = faults.meet('scalingEngine', 'scale', [appId]);
    const body = await exchange.body();
    if (!(await exchange.suffer(met))) {
      const unauthorized: Answer = {
        status: 401,
        body: 'Unauthorized\n',
        headers: { 'content-type': 'text/plain' },
      };
      exchange.answer(
        hasFault(met, 'unauthorized') ? unauthorized : scale(dependencies, appId, body, receivedMs),
      );
    }
    books.served('scale', exchange);
  };
}

function scale(
  { engine, books }: ScalingEngineDependencies,
  appId: string,
  body: string,
  receivedMs: number,
): Answer {
  const trigger = parseTrigger(body);
  if (!trigger) {
    books.triggered(appId, undefined, 'bad-request', receivedMs);
    return json(400, error('Bad-Request', 'Incorrect trigger in request body'));
  }
  const outcome = engine.scale(appId, trigger);
  books.triggered(appId, trigger, outcome, receivedMs);
  return outcomeAnswer(appId, outcome);
}

export function outcomeAnswer(appId: string, outcome: ScalingOutcome): Answer {
  switch (outcome.kind) {
    case 'scaled':
      return result(appId, 0, outcome.after - outcome.before, `${outcome.coolDownUntilMs}${nsOfMs}`);
    case 'cooling-down':
      return result(appId, 2, 0, `${outcome.coolDownUntilMs}${nsOfMs}`);
    case 'ignored':
      return result(appId, 2, 0, '0');
    case 'no-app':
      return json(
        404,
        error('Error on request to the cloud-controller via a cf-client', cloudFoundryError(appId)),
      );
    case 'bad-adjustment':
      return json(500, error('Internal-server-error', 'Error taking scaling action'));
  }
}

/** cool_down_expired_at is a JSON number of nanoseconds, beyond what a JavaScript number holds exactly. */
function result(appId: string, status: 0 | 2, adjustment: number, coolDownNs: string): Answer {
  return json(
    200,
    `{"app_id":${JSON.stringify(appId)},"status":${status},"adjustment":${adjustment},"cool_down_expired_at":${coolDownNs}}`,
  );
}

function cloudFoundryError(appId: string): string {
  const detail = {
    errors: [{ code: 10010, title: 'CF-ResourceNotFound', detail: 'App not found' }],
    StatusCode: 404,
    ResourceId: appId,
    Url: `/v3/apps/${appId}`,
  };
  return `Error taking scaling action:\n${JSON.stringify(detail)}`;
}

function error(code: string, message: string): string {
  return JSON.stringify({ code, message });
}

function json(status: number, body: string): Answer {
  return { status, body, headers: { 'content-type': 'application/json' } };
}
