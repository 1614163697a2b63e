import type { MetricOutcome } from '../collection/pool/job.js';
import type { Histories } from '../evaluation/decide.js';
import { labelOf, type Decision } from '../evaluation/decision.js';
import type { OpenBreaker } from '../evaluation/open-breaker.js';
import type { Trigger } from '../evaluation/trigger.js';
import { policyTag, type LastTrigger, type OwnersKnowledge } from '../explanation/facts.js';
import { limitCode, type ReasonCode } from '../explanation/reason.js';
import { directionOf, metricTypesOf, type AppPolicy, type ScalingRule } from '../policy/policy.js';
import type { TriggerResult } from '../scaling-engine/trigger-result.js';
import type { Clock } from '../util/clock.js';
import { fnv1a32 } from '../util/hash.js';
import { CollectionFailures } from './collection-failures.js';
import type { DecisionChange, DecisionRow } from './decision-store.js';
import { storableText } from './storable-text.js';

export interface DecisionRecorderOptions {
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly history: Histories;
  /** Breakers between an app and the scaling engine that are not closed. */
  readonly breakersOf: (appId: string) => readonly OpenBreaker[];
  readonly member: { leaseId(): string | null; readonly instanceIndex: number };
  /** Called with changes that are to be written; at most one a minute and app. */
  readonly changed: (change: DecisionChange) => void;
  /** Called once for each version of a policy that is evaluated here. */
  readonly newVersion: (policy: AppPolicy) => void;
}

/** Times ending in `AtMs` are monotonic, the others wall-clock ms. */
interface AppRecord {
  code: ReasonCode;
  sinceMs: number;
  untilMs: number | null;
  version: string;
  readonly ownedSinceMs: number;
  /** The rule of the newest trigger of this version, counted from 1; 0 before the first. */
  firingRule: number;
  lastTrigger: LastTrigger | null;
  writtenAtMs: number;
  /** As the history of changes has it. */
  changedCode: ReasonCode | null;
  changedAtMs: number;
}

const writeEveryMs = 30_000;
/**
 * Rows of neighbouring apps change together, and so do the rows of a page of the table. Written in so many turns they find
 * room in their page; written at once they would need new pages.
 */
const turns = 8;
/** So that rows of apps that nobody evaluates any more can be told from those that do not change. */
const renewEveryMs = 3_600_000;
const changeEveryMs = 60_000;

/** Codes that a post led to: that the app was posted for a moment ago is no news after them. */
const resultsOfPosts: ReadonlySet<ReasonCode> = new Set(['fired', 'at-max', 'at-min', 'trigger-failed']);

/**
 * What the owner of apps knows of their newest decisions. One small record an app, from its first evaluation until it is
 * forgotten; what changed is to be written by `takeRows`.
 */
export class DecisionRecorder {
  readonly #apps = new Map<string, AppRecord>();
  readonly #failures: CollectionFailures;
  /** Apps whose row says something else than their record. */
  readonly #unwritten = new Set<string>();
  #turn = 0;

  constructor(private readonly options: DecisionRecorderOptions) {
    this.#failures = new CollectionFailures(() => options.clock.now());
  }

  /** Records a decision. The result of its trigger follows with `posted` or with the next decision. */
  decided(app: AppPolicy, decision: Decision): void {
    const record = this.#recordOf(app);
    switch (decision.outcome) {
      case 'fired':
        record.firingRule = numberOf(app, decision.rule);
        break;
      case 'held': {
        const { reason, rule, untilMs = null } = decision;
        // A hold without an end means that the app's own trigger is in flight. Its result follows, and is recorded then.
        if (reason === 'posted-recently' && (untilMs === null || resultsOfPosts.has(record.code))) break;
        const code = reason === 'at-limit-backoff' && rule ? limitCode(directionOf(rule)) : reason;
        this.#become(app.appId, record, code, untilMs, rule);
        break;
      }
      case 'not-fired': {
        const code = this.#failures.of(app.appId).length > 0 ? 'not-collected' : labelOf(decision);
        const telling = decision.verdicts.find(({ reason }) => reason === code);
        this.#become(app.appId, record, code, null, telling?.rule);
        break;
      }
    }
  }

  /** The scaling engine's response to a trigger, or its failure. */
  posted(trigger: Trigger, result: TriggerResult): void {
    const appId = trigger.app_id;
    const record = this.#apps.get(appId);
    if (!record) return;
    const { adjustment } = trigger;
    const direction = directionOf({ adjustment });
    record.lastTrigger = {
      atMs: this.options.clock.now(),
      rule: record.firingRule > 0 ? record.firingRule : null,
      adjustment,
      direction,
      result: result.kind === 'failed' ? result.fault : result.kind,
      message: result.kind === 'failed' ? storableText(result.message) : null,
    };
    this.#unwritten.add(appId);
    const code = codeOfResult(result, direction);
    const untilMs =
      'coolDownUntilMs' in result && result.kind === 'cooling-down' ? result.coolDownUntilMs : null;
    this.#become(appId, record, code, untilMs, { metricType: trigger.metric_type });
  }

  collected(appId: string, outcomes: ReadonlyMap<string, MetricOutcome>): void {
    if (this.#apps.has(appId) && this.#failures.collected(appId, outcomes)) this.#unwritten.add(appId);
  }

  forget(appId: string): void {
    this.#failures.forget(appId);
    this.#apps.delete(appId);
    this.#unwritten.delete(appId);
  }

  /** null: the app is not evaluated here, or has not been yet. */
  knowledgeOf(appId: string): OwnersKnowledge | null {
    const record = this.#apps.get(appId);
    return record ? this.#knowledge(appId, record) : null;
  }

  /**
   * Rows that are to be written, at most `limit`; those of one app at most every 30 s, and at every eighth call.
   * `isLast`: there is no later call, so that nothing waits.
   */
  takeRows(limit: number, isLast = false): DecisionRow[] {
    const nowMs = this.options.clock.monotonic();
    const rows: DecisionRow[] = [];
    this.#turn = (this.#turn + 1) % turns;
    for (const appId of this.#unwritten) {
      if (rows.length >= limit) break;
      const record = this.#apps.get(appId);
      if (record && !isLast && !this.#isDue(appId, record, nowMs)) continue;
      this.#unwritten.delete(appId);
      if (!record) continue;
      record.writtenAtMs = nowMs;
      rows.push({ ...this.#knowledge(appId, record), appId, failures: this.#failures.forRow(appId) });
    }
    return rows;
  }

  #isDue(appId: string, { writtenAtMs }: AppRecord, nowMs: number): boolean {
    const isFirst = writtenAtMs === -Infinity;
    return isFirst || (nowMs - writtenAtMs >= writeEveryMs && fnv1a32(appId) % turns === this.#turn);
  }

  /** These rows could not be written; they are tried again. */
  giveBack(rows: readonly DecisionRow[]): void {
    for (const { appId } of rows) {
      const record = this.#apps.get(appId);
      if (!record) continue;
      record.writtenAtMs = -Infinity;
      this.#unwritten.add(appId);
    }
  }

  /** All apps with one code, in the order of their ids, from after `after` on. */
  list({ code, after, limit }: { code: ReasonCode; after: string; limit: number }): DecisionRow[] {
    return [...this.#apps]
      .filter(([appId, record]) => record.code === code && appId > after)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit)
      .map(([appId, record]) => ({ ...this.#knowledge(appId, record), appId }));
  }

  count(): Map<ReasonCode, number> {
    const counts = new Map<ReasonCode, number>();
    for (const { code } of this.#apps.values()) counts.set(code, (counts.get(code) ?? 0) + 1);
    return counts;
  }

  #recordOf(app: AppPolicy): AppRecord {
    const { appId, version } = app;
    const known = this.#apps.get(appId);
    if (known?.version !== version) this.options.newVersion(app);
    if (known) {
      if (known.version !== version) this.#changeVersion(app, known);
      return known;
    }
    const nowMs = this.options.clock.now();
    const record: AppRecord = {
      code: 'unknown',
      sinceMs: nowMs,
      untilMs: null,
      version,
      ownedSinceMs: nowMs,
      firingRule: 0,
      lastTrigger: null,
      writtenAtMs: -Infinity,
      changedCode: null,
      changedAtMs: -Infinity,
    };
    this.#apps.set(appId, record);
    return record;
  }

  #changeVersion(app: AppPolicy, record: AppRecord): void {
    record.version = app.version;
    record.firingRule = 0;
    record.lastTrigger &&= { ...record.lastTrigger, rule: null };
    this.#failures.retain(app.appId, metricTypesOf(app));
    this.#unwritten.add(app.appId);
  }

  #become(
    appId: string,
    record: AppRecord,
    code: ReasonCode,
    untilMs: number | null,
    rule: Pick<ScalingRule, 'metricType'> | undefined,
  ): void {
    const { clock } = this.options;
    const nowMs = clock.monotonic();
    if (code !== record.code) record.sinceMs = clock.now();
    const isSame = code === record.code && untilMs === record.untilMs;
    if (!isSame || nowMs - record.writtenAtMs >= renewEveryMs) this.#unwritten.add(appId);
    record.code = code;
    record.untilMs = untilMs;
    if (code === record.changedCode || nowMs - record.changedAtMs < changeEveryMs) return;
    // That an app is evaluated for the first time is no change.
    if (record.changedCode !== null) this.options.changed(this.#change(appId, record, rule));
    record.changedAtMs = record.changedCode === null ? -Infinity : nowMs;
    record.changedCode = code;
  }

  #change(
    appId: string,
    record: AppRecord,
    rule: Pick<ScalingRule, 'metricType'> | undefined,
  ): DecisionChange {
    const series = rule && this.options.history.series(appId, rule.metricType);
    const value = series && series.size > 0 ? series.valueAt(0) : null;
    const unit = series?.unit ? ` ${series.unit}` : '';
    const said = record.code === 'trigger-failed' ? (record.lastTrigger?.message ?? '') : '';
    const failed = record.code === 'not-collected' ? this.#failures.of(appId) : [];
    const parts = [
      rule && value !== null ? `${rule.metricType} ${value}${unit}` : '',
      said,
      ...failed.map(({ metricType, failure }) => `${metricType}: ${failure}`),
    ];
    return {
      appId,
      atMs: record.sinceMs,
      from: record.changedCode,
      to: record.code,
      rule: record.firingRule > 0 && resultsOfPosts.has(record.code) ? record.firingRule : null,
      value: value?.toString() ?? null,
      text: storableText(parts.filter((part) => part !== '').join('; ')),
    };
  }

  #knowledge(appId: string, record: AppRecord): OwnersKnowledge {
    const { clock, member } = this.options;
    return {
      code: record.code,
      sinceMs: record.sinceMs,
      untilMs: record.untilMs,
      policyTag: policyTag(record.version),
      ownedSinceMs: record.ownedSinceMs,
      leaseId: member.leaseId(),
      instanceIndex: member.instanceIndex,
      updatedAtMs: clock.now(),
      lastTrigger: record.lastTrigger,
      failures: this.#failures.of(appId),
      breakers: this.options.breakersOf(appId),
    };
  }
}

function codeOfResult(result: TriggerResult, direction: 'out' | 'in'): ReasonCode {
  switch (result.kind) {
    case 'scaled':
      return 'fired';
    case 'cooling-down':
      return 'cooling-down';
    case 'ignored':
      return limitCode(direction);
    case 'failed':
      return 'trigger-failed';
  }
}

/** Counted from 1; the policies of a decision and of now may differ. */
function numberOf(app: AppPolicy, rule: ScalingRule): number {
  return app.rules.indexOf(rule) + 1;
}
