import type { Logger } from './logger.js';

/** Says in every line that it is an observer's: whatever it says was done was not. */
export function observersLogger(logger: Logger): Logger {
  return {
    debug: (event, data) => logger.debug(event, { observer: true, ...data }),
    info: (event, data) => logger.info(event, { observer: true, ...data }),
    error: (event, error, data) => logger.error(event, error, { observer: true, ...data }),
    child: (component) => observersLogger(logger.child(component)),
  };
}
