import { keptChangesPerApp } from '../decisions/decision-store.js';
import { cursorAfter } from '../decisions/listed-decision.js';
import type { DecisionsReader } from '../decisions/open-decisions.js';
import type { ListedReason } from '../explanation/reason.js';
import type { ReadChartPoints } from '../history/chart-points.js';
import type { MemberView } from '../ownership/members-view.js';
import { msToNs, type Clock } from '../util/clock.js';
import type { AppPageData } from './app-page.js';
import type { AppsPageData } from './apps-page.js';

/** Where pages get what they show. Both reject when a database that they cannot do without does not answer. */
export interface PageSource {
  app(appId: string): Promise<AppPageData>;
  apps(reason: ListedReason | null, cursor: string): Promise<AppsPageData>;
}

export interface PageSourceOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly decisions: DecisionsReader;
  readonly readChartPoints: ReadChartPoints;
  /** null with static ownership. */
  readonly readMembers: (() => Promise<readonly MemberView[]>) | null;
  readonly breakers: () => AppsPageData['breakers'];
  readonly collectionIntervalMs: number;
  readonly isObserver: boolean;
}

/** What charts show. */
const chartMs = 2 * 24 * 3_600_000;
const maxMetricTypes = 8;
const appsPerPage = 100;

export function createPageSource(options: PageSourceOptions): PageSource {
  const { clock, decisions, readMembers } = options;

  return {
    async app(appId) {
      const explanation = await decisions.explain(appId);
      const untilMs = explanation.facts.atMs;
      const fromMs = untilMs - chartMs;
      const window = { sinceMs: fromMs, untilMs };
      // Without tables of decisions the rest of the page is as useful.
      const changes = decisions.changes({ appId, ...window, limit: keptChangesPerApp }).catch(() => []);
      const metricTypes = new Set(explanation.rules.map(({ rule }) => rule.metricType));
      return {
        explanation,
        points: await options.readChartPoints({
          appId,
          metricTypes: [...metricTypes].slice(0, maxMetricTypes),
          startNs: msToNs(fromMs),
          endNs: msToNs(untilMs),
        }),
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
    const apps = await decisions.list({ code: reason, after: cursor, limit: appsPerPage });
    return { reason, apps, nextCursor: cursorAfter(apps, appsPerPage) };
  }
}
