import { requestRate, responseTimeMs, type PreparedApp } from './apps.js';

export interface PreparedQuery {
  readonly metric: 'throughput' | 'responsetime';
  /** Literal ids; log-cache takes `=~` for a list. */
  readonly sourceIds: readonly string[];
  readonly timeSecs: number;
}

const sources = /source_id=~?["']([^"']+)["']/;

/** The two queries that autoscalers send; null for any other. */
export function parseQuery(query: string, time: string): PreparedQuery | null {
  const sourceIds = sources.exec(query)?.[1]?.split('|');
  const timeSecs = Number(time);
  if (!sourceIds || !query.includes('peer_type') || !Number.isInteger(timeSecs)) return null;
  if (query.includes('count_over_time(')) return { metric: 'throughput', sourceIds, timeSecs };
  if (query.includes('max_over_time(')) return { metric: 'responsetime', sourceIds, timeSecs };
  return null;
}

/** A vector with one sample per app and instance. */
export function queryAnswerBody(
  { metric, timeSecs }: PreparedQuery,
  apps: readonly PreparedApp[],
): { body: string; samples: number } {
  const valueOf = metric === 'throughput' ? requestRate : responseTimeMs;
  const samples: string[] = [];
  for (const app of apps) {
    for (let instance = 0; instance < app.instances; instance++) {
      samples.push(
        `{"metric":{"instance_id":"${instance}","source_id":"${app.guid}"},` +
          `"value":[${timeSecs}.000,"${valueOf(app, instance)}"]}`,
      );
    }
  }
  const body = `{"status":"success","data":{"resultType":"vector","result":[${samples.join(',')}]}}\n`;
  return { body, samples: samples.length };
}
