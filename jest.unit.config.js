import whole from './jest.config.js';

/** What needs a database, servers, processes or worker threads. */
const others = [
  '(chaos|database|demo|dns|eventgenerator|fuzz|http|package|pipeline|platform|support|tls|uaa)/',
  'cli/(backtest-command|closed-output|compare-command|explain-process|lint-all)',
  'collection/(pool/|open-collection)',
  'decisions/(.*-store|decision-writer|facts-reader|policy-survey)',
  'history/(app-metric-store|app-metric-writer-database|chart-points|observed-table)',
  'log-cache/(.*log-cache|grpc-client|https-get|transports)',
  'observability/(lines-per-event|pino-logger|process-metrics)',
  'ops/',
  'ownership/(open-ownership|.*-store)',
  'pages/browser',
  'policy/policy-store',
  'replay/recordings-reader',
  'scaling-engine/(client|open-)',
];

/** What needs none of these, but more than two seconds: mostly for hundreds of random cases. */
const slow = [
  'collection/worker/reading-on',
  'config/(keys|yaml-text)',
  'log-cache/(envelope-scanner|grpc-messages)',
  'ownership/simulation',
  'policy/policy-poller',
  'replay/replay',
];

/** The quick set, `npm run test:unit`. */
export default {
  roots: whole.roots,
  testMatch: whole.testMatch,
  testPathIgnorePatterns: [...others, ...slow].map((path) => `/dist/test/${path}`),
  transform: whole.transform,
  testTimeout: whole.testTimeout,
  maxWorkers: whole.maxWorkers,
};
