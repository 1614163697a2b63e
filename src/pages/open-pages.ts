import type { Config } from '../config/config.js';
import type { RouteModule } from '../http/api-routes.js';
import type { ProcessContext } from '../observability/process-context.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { pageRoutes } from './page-routes.js';
import { createPageSource, type PageSourceOptions } from './page-source.js';

interface PagesOptions
  extends
    ProcessContext,
    Pick<PageSourceOptions, 'decisions' | 'readChartPoints' | 'readMembers' | 'breakers'> {
  readonly config: Pick<Config, 'aggregator' | 'evaluator'>;
}

/** The pages that explain apps, as routes for whoever asks for credentials. */
export function openPages(options: PagesOptions): RouteModule {
  const { clock, logger, metrics, config } = options;
  return pageRoutes({
    source: createPageSource({
      ...options,
      collectionIntervalMs: config.aggregator.collectionIntervalMs,
      isObserver: config.evaluator.mode === 'observe',
    }),
    repeated: new RepeatedEvents({ clock, metrics, logger: logger.child('http') }),
  });
}
