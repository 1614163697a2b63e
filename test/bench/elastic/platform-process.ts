import { fork } from 'node:child_process';
import { once } from 'node:events';
import type {
  ElasticPlatformOptions,
  ElasticPlatformReady,
  FromElasticPlatform,
  MemberUrls,
  NotedSince,
  ToElasticPlatform,
} from './messages.js';

export interface ElasticPlatform extends ElasticPlatformReady {
  open(): Promise<MemberUrls>;
  breach(app: number, fromMs: number): void;
  /** What was noted since the last call. */
  books(): Promise<NotedSince>;
  stop(): Promise<void>;
}

const entry = new URL('./platform.js', import.meta.url);

export async function startElasticPlatform(options: ElasticPlatformOptions): Promise<ElasticPlatform> {
  const child = fork(entry, [JSON.stringify(options)], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  });
  const exited = new Promise<never>((_resolve, reject) =>
    child.once('exit', (code) => reject(new Error(`the elastic platform ended with code ${code}`))),
  );
  exited.catch(() => {});
  const next = async <K extends FromElasticPlatform['kind']>(kind: K) => {
    const [message] = (await Promise.race([once(child, 'message'), exited])) as [FromElasticPlatform];
    if (message.kind !== kind) throw new Error(`the elastic platform said ${message.kind}, not ${kind}`);
    return message as Extract<FromElasticPlatform, { kind: K }>;
  };
  // One question at a time, so that an answer belongs to the question before it.
  let last: Promise<unknown> = Promise.resolve();
  const ask = <K extends FromElasticPlatform['kind']>(question: ToElasticPlatform, kind: K) => {
    const answer = last.then(() => {
      const answered = next(kind);
      child.send(question);
      return answered;
    });
    last = answer.catch(() => {});
    return answer;
  };

  const ready = await next('ready');
  return {
    ...ready,
    open: () => ask({ kind: 'open' }, 'opened'),
    breach: (app, fromMs) => void child.send({ kind: 'breach', app, fromMs } satisfies ToElasticPlatform),
    books: () => ask({ kind: 'books' }, 'books'),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
