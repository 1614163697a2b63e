import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const prefix = 'autoscaler_eventgenerator_';

/** From the jitter of a timer to a missed interval. Seconds. */
const lagBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80];

const notFiredReasons = [
  'not-breached',
  'no-data',
  'not-enough-samples',
  'unknown-operator',
  'no-rules',
] as const;

const heldReasons = [
  'cooling-down',
  'posted-recently',
  'breaker-open',
  'at-limit-backoff',
  'lease-lost',
  'engine-busy',
] as const;

const collectionResults = [
  ...(['value', 'no_data', 'not_covered', 'no_http_timers'] as const),
  ...(['timeout', 'gave-up', 'connection', 'unauthorized', 'client-error', 'server-error'] as const),
  ...(['bad-answer', 'clock-ahead', 'no-token', 'not-asked', 'thread'] as const),
];

const triggerResults = [
  ...(['scaled', 'cooling-down', 'ignored'] as const),
  ...(['no-connection', 'timeout', 'unavailable', 'rejected', 'bad-answer'] as const),
  ...heldReasons.map((reason) => `held-${reason}` as const),
];

/** A counter with one label whose values are all known, so that none can be counted that does not exist from the start. */
interface CounterBy<L extends string, V extends string> extends Pick<Counter<L>, 'get'> {
  inc(labels: Readonly<Record<L, V>>, value?: number): void;
}

/** Every metric of ours. Labels have few values; an app's id is never one. Parts that write a few take `Pick<Metrics, …>`. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(registry: Registry = new Registry()) {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name: prefix + name, help, registers });
  /** Every series exists from the start: an alert on the first increase of one that appears with it would never fire. */
  const counterBy = <L extends string, const V extends string>(
    name: string,
    help: string,
    label: L,
    values: readonly V[],
  ): CounterBy<L, V> => {
    const created = new Counter<L>({ name: prefix + name, help, labelNames: [label], registers });
    for (const value of values) created.inc({ [label]: value } as Record<L, V>, 0);
    return created;
  };
  const gauge = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name: prefix + name, help, labelNames, registers });
  const gaugeBy = <L extends string>(name: string, help: string, label: L, values: readonly string[]) => {
    const created = gauge(name, help, [label]);
    for (const value of values) created.set({ [label]: value } as Record<L, string>, 0);
    return created;
  };
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: prefix + name, help, buckets, registers });

  return {
    registry,

    buildInfo: gauge('build_info', 'Always 1; version of the program, and whether it acts', [
      'version',
      'mode',
    ]),

    policies: gauge('policies', 'Policies in policy_db, of all apps'),
    policiesOwned: gauge(
      'policies_owned',
      'Policies of the apps of this instance, also without scaling rules or broken',
    ),
    policiesWithRules: gauge(
      'policies_with_rules',
      'Policies of the apps of this instance that have scaling rules',
    ),
    policiesBroken: gauge(
      'policies_broken',
      'Policies of the apps of this instance that could not be parsed; these apps are not scaled',
    ),
    policiesAgeSeconds: gauge(
      'policies_age_seconds',
      'Time since the policies were last read completely, or since the start',
    ),
    policyPolls: counterBy('policy_polls_total', 'Reads of policy_db by result', 'result', [
      'success',
      'failure',
    ]),

    apps: gauge('apps', 'Apps owned by this instance, by the reason of their newest decision', ['reason']),
    appsOwned: gauge('apps_owned', 'Apps with scaling rules that this instance collects and evaluates'),

    collections: counterBy(
      'collections_total',
      'App metrics collected by result: value, no_data, not_covered, no_http_timers or the failure',
      'result',
      collectionResults,
    ),
    appsWithoutValues: gauge('apps_without_values', 'Apps that had values and have none any more'),
    valuesMissing: gauge(
      'values_missing',
      '1 while many apps have no values that they lost at the same time, else 0',
    ),
    httpTimersMissing: gauge(
      'http_timers_missing',
      '1 while several apps that had requests have no http timers, else 0',
    ),
    collectionLagSeconds: histogram(
      'collection_lag_seconds',
      'How much later than due a collection started',
      lagBuckets,
    ),
    collectionDurationSeconds: histogram(
      'collection_duration_seconds',
      "Duration of one collection of one app's gauges",
      lagBuckets,
    ),
    collectionsSkipped: counter(
      'collections_skipped_total',
      'Cycles left out because collections could not keep up',
    ),
    collectionsInFlight: gauge('collections_in_flight', 'Collections running now'),
    collectionsInFlightLimit: gauge('collections_in_flight_limit', 'Collections allowed to run at once'),

    logCacheRequests: counter('log_cache_requests_total', 'Requests sent to log-cache'),
    queriesInFlight: gauge('log_cache_queries_in_flight', 'PromQL queries under way now'),
    queryBreakerState: gauge(
      'log_cache_query_breaker_state',
      'Breaker of PromQL queries: 0 closed, 1 half open, 2 open',
    ),
    timerReads: counterBy(
      'log_cache_timer_reads_total',
      'Reads of http timers, instead of queries that take too long, by result',
      'result',
      ['read', 'too-many', 'failed'],
    ),
    logCachePages: counter('log_cache_pages_total', 'Pages of envelopes read from log-cache'),
    logCacheEnvelopes: counter('log_cache_envelopes_total', 'Envelopes read from log-cache'),
    logCacheBytes: counter('log_cache_bytes_total', 'Bytes of responses read from log-cache'),
    samplesDropped: counter(
      'samples_dropped_total',
      'Samples that were not finite, beyond int64 or had no positive quota',
    ),

    workerUtilization: gauge(
      'worker_pool_utilization',
      'Share of time that worker threads were busy, 0 to 1',
    ),
    workerQueue: gauge('worker_pool_queue_size', 'Jobs waiting for a worker thread'),

    tokenAgeSeconds: gauge('uaa_token_age_seconds', 'Age of the UAA token in use; -1 without one'),
    tokenRequests: counterBy('uaa_token_requests_total', 'Token requests by result', 'result', [
      'ok',
      'credentials',
      'unavailable',
      'bad-answer',
    ]),

    historyRings: gauge('history_rings', 'Histories held in memory, one per app and metric type'),
    writerBuffered: gauge('app_metric_writer_buffered_rows', 'App metrics waiting to be written'),
    rowsWritten: counter('app_metric_rows_written_total', 'App metrics written to appmetrics_db'),
    rowsLost: counterBy('app_metric_rows_lost_total', 'App metrics given up, by reason', 'reason', [
      'buffer_full',
      'rejected',
      'shutdown',
    ]),

    evaluations: counterBy('evaluations_total', 'Evaluations of an app by outcome', 'outcome', [
      'fired',
      ...notFiredReasons,
      ...heldReasons,
    ]),
    triggers: counterBy(
      'triggers_total',
      'Triggers posted to the scaling engine by result',
      'result',
      triggerResults,
    ),
    breakersOpen: gauge('app_breakers_open', 'Apps whose breaker is open'),
    sharedBreakerState: gauge(
      'scaling_engine_breaker_state',
      'Shared breaker: 0 closed, 1 half open, 2 open',
    ),
    coolDowns: gauge('cool_downs', 'Apps in a known cool-down'),
    atLimitBackOffs: gauge(
      'at_limit_back_offs',
      'App and direction pairs held back because the scaling engine ignored them',
    ),

    concurrentHttpRequests: gauge('concurrent_http_request', 'HTTP requests in work now'),
    connectionsTurnedAway: counter(
      'http_connections_turned_away_total',
      'Connections of HTTP clients ended because there were as many as a server may have',
    ),
    tlsHandshakesRefused: counterBy(
      'tls_handshakes_refused_total',
      'TLS handshakes of HTTP clients that failed, by reason',
      'reason',
      ['client-certificate', 'protocol', 'plain-http', 'timeout', 'closed'],
    ),
    certificateExpirySeconds: gauge(
      'certificate_expiry_timestamp_seconds',
      'When the certificate in use expires, seconds since the epoch',
      ['certificate'],
    ),
    logLinesSuppressed: counter('log_lines_suppressed_total', 'Repeated log lines left out'),

    members: gauge('members', 'Members that share the apps, as this instance sees them; 0 while unknown'),
    memberState: gaugeBy('member_state', 'Own state as a member: 1 for the state it is in, else 0', 'state', [
      'joining',
      'member',
      'lost',
      'leaving',
      'left',
    ]),
    leaseAgeSeconds: gauge(
      'lease_age_seconds',
      'Time since the start of the last successful renewal of the own lease; -1 without a lease',
    ),
    leaseRenewals: counterBy('lease_renewals_total', 'Attempts to join or renew by result', 'result', [
      'answered',
      'late',
      'refused',
      'failed',
    ]),
    appsMoved: counterBy('apps_moved_total', 'Apps gained from and lost to other members', 'direction', [
      'gained',
      'lost',
    ]),
    claims: counterBy(
      'claims_total',
      'Claims before posting a trigger: won, lost, skipped (posted without one) or undecided (not posted)',
      'result',
      ['won', 'lost', 'skipped', 'undecided'],
    ),
    claimAnswersLost: counter(
      'claim_answers_lost_total',
      'Cool-downs and back-offs that could not be recorded for other members',
    ),
    decisionRowsWritten: counter(
      'decision_rows_written_total',
      'Decisions and changes of them written for other members',
    ),
    decisionRowsLost: counter('decision_rows_lost_total', 'Decisions and changes of them given up'),
  };
}
