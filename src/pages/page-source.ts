import { cursorAfter } from '../decisions/listed-decision.js';
import type { DecisionsReader } from '../decisions/open-decisions.js';
import type { Explanation } from '../explanation/explain.js';
import type { ListedReason } from '../explanation/reason.js';
import type { AppMetric } from '../history/app-metric.js';
import type { HistoryReader } from '../history/history-reader.js';
import type { MemberView } from '../ownership/members-view.js';
import { msToNs, nsToMs, type Clock } from '../util/clock.js';
import type { AppPageData } from './app-page.js';
import type { AppsPageData } from './apps-page.js';
import type { ChartPoint } from './chart.js';

/** Where pages get what they show. Both reject when a database that they cannot do without does not answer. */
export interface PageSource {
  app(appId: string): Promise<AppPageData>;
  apps(reason: ListedReason | null, cursor: string): Promise<AppsPageData>;
}

export interface PageSourceOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly decisions: DecisionsReader;
  readonly history: HistoryReader;
  /** null with static ownership. */
  readonly readMembers: (() => Promise<readonly MemberView[]>) | null;
  readonly breakers: () => AppsPageData['breakers'];
  readonly collectionIntervalMs: number;
  readonly isObserver: boolean;
}

/** What charts show. */
const chartMs = 2 * 24 * 3_600_000;
/** Points of a chart: two days at an interval of 10 s. The newest count. */
const maxPoints = 17_280;
const maxMetricTypes = 8;
const appsPerPage = 100;
const changesPerPage = 50;

export function createPageSource(options: PageSourceOptions): PageSource {
  const { clock, decisions, readMembers } = options;

  return {
    async app(appId) {
      const explanation = await decisions.explain(appId);
      const untilMs = explanation.facts.atMs;
      const fromMs = untilMs - chartMs;
      const window = { sinceMs: fromMs, untilMs };
      // Without tables of decisions the rest of the page is as useful.
      const changes = decisions.changes({ appId, ...window, limit: changesPerPage }).catch(() => []);
      return {
        explanation,
        points: await pointsOf(explanation, fromMs, options.history),
        fromMs,
        changes: await changes,
        collectionIntervalMs: options.collectionIntervalMs,
      };
    },

    async apps(reason, cursor) {
      const counts = await decisions.count().catch(() => null);
      return {
        nowMs: clock.now(),
        isObserver: options.isObserver,
        counts:
          counts &&
          [...counts].map(([code, apps]) => ({ reason: code, apps })).sort((a, b) => b.apps - a.apps),
        selected: reason && (await selectedApps(reason, cursor)),
        members: readMembers ? await readMembers().catch(() => null) : 'static',
        breakers: options.breakers(),
      };
    },
  };

  async function selectedApps(reason: ListedReason, cursor: string): Promise<AppsPageData['selected']> {
    const listed = await decisions.list({ code: reason, after: cursor, limit: appsPerPage });
    return {
      reason,
      apps: listed.map(({ appId, sinceMs, detail }) => ({ appId, sinceMs, text: detail })),
      nextCursor: cursorAfter(listed, appsPerPage),
    };
  }
}

async function pointsOf(
  { facts, rules }: Explanation,
  fromMs: number,
  history: HistoryReader,
): Promise<AppPageData['points']> {
  const window = { startNs: msToNs(fromMs), endNs: msToNs(facts.atMs) };
  const metricTypes = [...new Set(rules.map(({ rule }) => rule.metricType))];
  const points = new Map<string, readonly ChartPoint[]>();
  for (const metricType of metricTypes.slice(0, maxMetricTypes)) {
    const query = { appId: facts.appId, metricType, ...window, order: 'DESC' } as const;
    points.set(metricType, await readPoints(history.read(query)));
  }
  return points;
}

/** In the order of time, given the newest first. */
async function readPoints(batches: AsyncIterable<readonly AppMetric[]>): Promise<ChartPoint[]> {
  const newestFirst: ChartPoint[] = [];
  for await (const batch of batches) {
    for (const { timestampNs, value } of batch) {
      newestFirst.push({ atMs: nsToMs(timestampNs), value: value === null ? null : Number(value) });
    }
    if (newestFirst.length >= maxPoints) break;
  }
  return newestFirst.slice(0, maxPoints).reverse();
}
