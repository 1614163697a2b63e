import type { MessagePort } from 'node:worker_threads';
import type { CollectionJob, CollectionResult } from './job.js';

/*
 * The messages between the main thread and a collector thread. To wake a sleeping thread costs more than a job or a
 * result, so those of the same moment travel together.
 */

export type Jobs = readonly (readonly [id: number, job: CollectionJob])[];
export type Results = readonly (readonly [id: number, result: CollectionResult])[];

/** What a collector thread is started with. */
export interface Service {
  readonly port: MessagePort;
}

/** Runs what comes through the port until the thread ends. `run` must not reject. */
export function serveJobs(
  { port }: Service,
  run: (job: CollectionJob) => Promise<CollectionResult>,
): Promise<never> {
  let results: [number, CollectionResult][] = [];
  const post = (): void => {
    const message: Results = results;
    results = [];
    port.postMessage(message);
  };
  port.on('message', (jobs: Jobs) => {
    for (const [id, job] of jobs) {
      void run(job).then((result) => {
        if (results.push([id, result]) === 1) setImmediate(post);
      });
    }
  });
  return new Promise(() => {});
}
