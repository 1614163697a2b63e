import { expect, test } from '@jest/globals';
import type { Logger } from '../../src/observability/logger.js';
import { silentLogger } from '../support/silent-logger.js';
import { createReleasers } from '../../src/util/releasers.js';

test('parts are released in reverse order, once, and one that fails keeps none from its release', async () => {
  const order: string[] = [];
  const failed: unknown[] = [];
  const logger: Logger = { ...silentLogger, error: (_event, _error, data) => void failed.push(data) };
  const releasers = createReleasers(logger);
  releasers.add('first', () => void order.push('first'));
  releasers.add('broken', () => Promise.reject(new Error('broken')));
  releasers.add('last', async () => void order.push('last'));
  await Promise.all([releasers.releaseAll(), releasers.releaseAll()]);
  expect(order).toEqual(['last', 'first']);
  expect(failed).toEqual([{ part: 'broken' }]);
});
