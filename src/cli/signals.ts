import type { Logger } from '../observability/logger.js';

/**
 * Calls `stop` at the first SIGTERM or SIGINT, and `exit` at the second, for operators who cannot wait. Returns a function
 * that removes the handlers.
 */
export function onStopSignal(logger: Logger, stop: () => void, exit: (code: number) => void): () => void {
  let stopping = false;
  const handler = (signal: NodeJS.Signals) => {
    if (stopping) {
      logger.info('forced', { signal });
      exit(1);
      return;
    }
    stopping = true;
    logger.info('stopping', { signal });
    stop();
  };
  process.on('SIGTERM', handler);
  process.on('SIGINT', handler);
  return () => {
    process.off('SIGTERM', handler);
    process.off('SIGINT', handler);
  };
}
