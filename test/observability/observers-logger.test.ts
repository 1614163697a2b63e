import { expect, test } from '@jest/globals';
import { observersLogger } from '../../src/observability/observers-logger.js';
import { recordingLogger } from '../support/recording-logger.js';

test('every line says that it is of an observer', () => {
  const { logger, lines } = recordingLogger();
  const child = observersLogger(logger).child('evaluation');
  child.info('would-scale', { appId: 'app' });
  child.debug('ignored');
  child.error('trigger-failed', new Error('why'));
  expect(lines.map(({ event, data }) => [event, data])).toEqual([
    ['evaluation.would-scale', { observer: true, appId: 'app' }],
    ['evaluation.ignored', { observer: true }],
    ['evaluation.trigger-failed', { observer: true }],
  ]);
});
