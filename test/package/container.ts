import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { IssuedCertificate } from '../support/certificates.js';
import { freePort } from '../support/free-port.js';
import type { Droplet } from './staging.js';

/** The user that apps run as; root may become anyone, others stay who they are. */
const vcap = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

const instanceGuid = '2a7c9e1b-5d3f-4a86-6c0e-91b4';

export interface ContainerOptions {
  /** The start command, as the manifest has it. */
  readonly command: string;
  readonly services: object;
  /** Instance identity: leaf with its chain, and key. */
  readonly identity: IssuedCertificate;
  /** What the platform trusts: file name and PEM. */
  readonly trusted: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly env?: NodeJS.ProcessEnv;
}

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** An app instance as Diego runs one. */
export interface Container {
  /** Resolves when the event has been logged; rejects if the process ends before. */
  logged(message: string): Promise<LogLine>;
  /** Everything that was written so far. */
  output(): string;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>;
  /** SIGTERM; resolves to exit code, signal and how long it took. */
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null; millis: number }>;
  /** For a test that failed: ends the process whatever it does. */
  kill(): void;
}

/** Starts the droplet as the platform's launcher does: a shell in the app's folder that becomes the start command. */
export async function startContainer(droplet: Droplet, options: ContainerOptions): Promise<Container> {
  const port = await freePort();
  const child = spawn('bash', ['-c', options.command], {
    ...vcap,
    cwd: join(droplet.home, 'app'),
    env: { ...(await environment(droplet, port, options)), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return container(child, port);
}

function container(child: ChildProcess, port: number): Container {
  const { stdout, stderr } = child;
  if (!stdout || !stderr) throw new Error('the process has no output');
  let output = '';
  const lines: LogLine[] = [];
  const waiting = new Set<() => void>();
  const wake = () => waiting.forEach((look) => look());
  createInterface(stdout).on('line', (line) => {
    output += line + '\n';
    if (line.startsWith('{')) lines.push(JSON.parse(line) as LogLine);
    wake();
  });
  stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  ended.then(wake, wake);

  return {
    logged: (message) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = lines.find((each) => each.message === message);
          if (!line && child.exitCode === null && child.signalCode === null) return;
          waiting.delete(look);
          if (line) resolve(line);
          else reject(new Error(`the process ended without ${message}:\n${output}`));
        };
        waiting.add(look);
        look();
      }),
    output: () => output,
    get: (path, headers = {}) => get(port, path, headers),
    async stop() {
      const startedMs = performance.now();
      child.kill('SIGTERM');
      const [code, signal] = await ended;
      return { code, signal, millis: performance.now() - startedMs };
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

function get(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body }),
      );
    });
    asked.once('error', reject);
    asked.end();
  });
}

/** Only what Cloud Foundry, its launcher and the buildpack set: nothing of this process's environment. */
async function environment(
  { home }: Droplet,
  port: number,
  { services, identity, trusted, memoryMb }: ContainerOptions,
): Promise<NodeJS.ProcessEnv> {
  const credentials = join(home, 'cf-instance-credentials');
  const certificates = join(home, 'cf-system-certificates');
  const app = join(home, 'app');
  const deps = join(home, 'deps');
  await mkdir(credentials, { recursive: true });
  await mkdir(certificates, { recursive: true });
  const key = join(credentials, 'instance.key');
  const cert = join(credentials, 'instance.crt');
  await writeFile(key, identity.key, { mode: 0o600 });
  if (vcap.uid !== undefined) await chown(key, vcap.uid, vcap.gid);
  await writeFile(cert, identity.chain);
  for (const [name, pem] of Object.entries(trusted)) await writeFile(join(certificates, name), pem);
  return {
    HOME: app,
    PWD: app,
    USER: 'vcap',
    LANG: 'en_US.UTF-8',
    TMPDIR: join(home, 'tmp'),
    DEPS_DIR: deps,
    PATH: `${join(deps, '0', 'bin')}:/usr/local/bin:/usr/bin:/bin`,
    NODE_ENV: 'production',
    NODE_HOME: join(deps, '0', 'node'),
    NODE_PATH: join(app, 'node_modules'),
    MEMORY_AVAILABLE: String(memoryMb),
    MEMORY_LIMIT: `${memoryMb}m`,
    WEB_CONCURRENCY: '1',
    VCAP_APPLICATION: JSON.stringify({
      ...fixture('vcap-application.json'),
      host: '0.0.0.0',
      port,
      instance_id: instanceGuid,
      instance_index: 0,
    }),
    VCAP_SERVICES: JSON.stringify(services),
    PORT: String(port),
    VCAP_APP_PORT: String(port),
    VCAP_APP_HOST: '0.0.0.0',
    INSTANCE_GUID: instanceGuid,
    INSTANCE_INDEX: '0',
    CF_INSTANCE_GUID: instanceGuid,
    CF_INSTANCE_INDEX: '0',
    CF_INSTANCE_IP: '127.0.0.1',
    CF_INSTANCE_INTERNAL_IP: '127.0.0.1',
    CF_INSTANCE_PORT: String(port),
    CF_INSTANCE_ADDR: `127.0.0.1:${port}`,
    CF_INSTANCE_PORTS: JSON.stringify([{ external: port, internal: port }]),
    CF_INSTANCE_CERT: cert,
    CF_INSTANCE_KEY: key,
    CF_SYSTEM_CERT_PATH: certificates,
  };
}

/** JSON as a real foundation has it, from the configuration's tests. */
export function fixture<T = Record<string, unknown>>(name: string): T {
  const file = fileURLToPath(new URL(`../../../test/config/fixtures/${name}`, import.meta.url));
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}
