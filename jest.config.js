// Tests are compiled by tsc first and run as plain ES modules from dist/: quickest, and worker threads load the real code.
export default {
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testEnvironment: 'node',
  // A bound for what hangs: on a busy machine a test may take ten times as long as on one that is not.
  testTimeout: 180_000,
  maxWorkers: 2,
  globalSetup: '<rootDir>/dist/test/support/global-setup.js',
  globalTeardown: '<rootDir>/dist/test/support/global-teardown.js',
};
