import { expect, test } from '@jest/globals';
import { startEventgenerator } from './eventgenerator-process.js';

test('one that ends early leaves its exit code and its last lines', async () => {
  const eventgenerator = startEventgenerator('/nowhere/eventgenerator.yml', () => {});
  expect(await eventgenerator.ended).toBe(1);
  expect(eventgenerator.lastLines().join('\n')).toContain(
    "failed to open config file '/nowhere/eventgenerator.yml'",
  );
  await eventgenerator.stop();
});

test('one that is stopped before it knows about signals has not failed', async () => {
  const eventgenerator = startEventgenerator('/nowhere/eventgenerator.yml', () => {});
  await eventgenerator.stop();
  expect(await eventgenerator.ended).toBe('SIGTERM');
});
