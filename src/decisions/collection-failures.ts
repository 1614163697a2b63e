import type { MetricOutcome } from '../collection/pool/job.js';
import type { CollectionFailure } from '../explanation/facts.js';
import { storableText } from './storable-text.js';

/** A single failed collection says little. */
const failuresToTell = 2;
/** If more apps fail, the failure is log-cache's. Rows then leave out its messages, which would double their length. */
const maxFailuresQuoted = 1_000;

type RepeatedFailure = CollectionFailure & { readonly times: number };
/** By metric type. */
type Failures = Map<string, RepeatedFailure>;

/** The metric types of apps that log-cache fails for, with how often in a row and since when. */
export class CollectionFailures {
  /** By app id. Most apps have none. */
  readonly #apps = new Map<string, Failures>();

  constructor(private readonly now: () => number) {}

  /** Notes what a cycle collected of an app. Returns whether that changes what is told of the app. */
  collected(appId: string, outcomes: ReadonlyMap<string, MetricOutcome>): boolean {
    let isNews = false;
    for (const [metricType, outcome] of outcomes) {
      const known = this.#apps.get(appId)?.get(metricType);
      if (outcome.kind !== 'failed') {
        if (!known) continue;
        this.#remove(appId, metricType);
        isNews = true;
        continue;
      }
      const { failure } = outcome;
      const isSame = known?.failure === failure;
      const times = (known?.times ?? 0) + 1;
      this.#failuresOf(appId).set(metricType, {
        metricType,
        failure,
        message: isSame ? known.message : storableText(outcome.message),
        sinceMs: known?.sinceMs ?? this.now(),
        times,
      });
      isNews ||= !isSame || times === failuresToTell;
    }
    return isNews;
  }

  /** Those worth telling. */
  of(appId: string): CollectionFailure[] {
    return [...(this.#apps.get(appId)?.values() ?? [])]
      .filter(({ times }) => times >= failuresToTell)
      .map(({ metricType, failure, message, sinceMs }) => ({ metricType, failure, message, sinceMs }));
  }

  /** The same for the app's row. */
  forRow(appId: string): CollectionFailure[] {
    const failures = this.of(appId);
    return this.#apps.size <= maxFailuresQuoted
      ? failures
      : failures.map((each) => ({ ...each, message: '' }));
  }

  /** Forgets failures of metric types that the app's policy has no more. */
  retain(appId: string, metricTypes: ReadonlySet<string>): void {
    for (const metricType of [...(this.#apps.get(appId)?.keys() ?? [])]) {
      if (!metricTypes.has(metricType)) this.#remove(appId, metricType);
    }
  }

  forget(appId: string): void {
    this.#apps.delete(appId);
  }

  #failuresOf(appId: string): Failures {
    const failures = this.#apps.get(appId) ?? new Map<string, RepeatedFailure>();
    this.#apps.set(appId, failures);
    return failures;
  }

  #remove(appId: string, metricType: string): void {
    const failures = this.#apps.get(appId);
    failures?.delete(metricType);
    if (failures?.size === 0) this.#apps.delete(appId);
  }
}
