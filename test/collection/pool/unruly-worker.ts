import { noCost } from '../../../src/collection/pool/cost.js';
import type { CollectionJob, CollectionResult } from '../../../src/collection/pool/job.js';
import { serveJobs, type Service } from '../../../src/collection/pool/job-port.js';

/** A collector thread for tests: what happens is in the app's id. */
export default function collect(service: Service): Promise<never> {
  return serveJobs(service, run);
}

async function run(job: CollectionJob): Promise<CollectionResult> {
  switch (job.kind === 'read' ? job.appId : '') {
    case 'stuck':
      for (;;);
    case 'crash':
      setImmediate(() => {
        throw new Error('uncaught in the thread');
      });
      return new Promise(() => {});
    case 'exit':
      return process.exit(3);
    case 'silent':
      return new Promise(() => {});
    default:
      return { kind: 'failed', failure: 'timeout', message: 'well done', cost: noCost() };
  }
}
