// Tests are compiled by tsc first and run as plain ES modules from dist/: quickest, and worker threads load the real code.
export default {
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testEnvironment: 'node',
  // A bound for what hangs: on a busy machine a test may take ten times as long as on one that is not.
  testTimeout: 180_000,
  // More than a small machine has cores: many suites mostly wait.
  maxWorkers: 3,
  runner: '<rootDir>/dist/test/support/runs-crashed-files-again.js',
  // On a busy machine a process with many modules takes longer to end than Jest's half second.
  workerGracefulExitTimeout: 10_000,
  testSequencer: '<rootDir>/dist/test/support/longest-first.js',
  globalSetup: '<rootDir>/dist/test/support/global-setup.js',
  globalTeardown: '<rootDir>/dist/test/support/global-teardown.js',
};
