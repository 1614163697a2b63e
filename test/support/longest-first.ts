import { createRequire } from 'node:module';
import type { default as TestSequencer } from '@jest/test-sequencer';

// Its types describe the CommonJS module, in which the class is a property.
const { default: Sequencer } = createRequire(import.meta.url)('@jest/test-sequencer') as {
  default: typeof TestSequencer.default;
};

/** Files that mostly wait or take long, longest first: one that starts last would be waited for alone. */
const longest = [
  'package/staged-run',
  'pipeline/elastic',
  'pipeline/log-cache-faults',
  'pipeline/coverage',
  'pipeline/uaa-faults',
  'pipeline/process',
  'pipeline/unusable-databases',
  'pipeline/',
  'demo/main',
  'fuzz/',
  'chaos/chaos',
  'ownership/open-ownership',
  'eventgenerator/',
  'database/',
];

export default class LongestFirst extends Sequencer {
  override async sort(...[tests]: Parameters<TestSequencer.default['sort']>) {
    const ordered = await super.sort(tests);
    return ordered.sort((a, b) => rank(a.path) - rank(b.path));
  }
}

function rank(path: string): number {
  const at = longest.findIndex((part) => path.includes(`/dist/test/${part}`));
  return at === -1 ? longest.length : at;
}
