import type { Logger } from '../../src/observability/logger.js';

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  error: () => {},
  child: () => silentLogger,
};
