import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/*
 * What Cloud Foundry's nodejs buildpack does with the folder that is pushed, read from its sources: without
 * node_modules it runs `npm install` and moves the packages out of the app's folder, which the launcher links back;
 * with node_modules it runs `npm rebuild` and `npm install` where they are.
 */

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../../..', import.meta.url));

/** A place for everything of one test run, readable by the user that apps run as. */
export interface StagingArea {
  readonly folder: string;
  /**
   * What `npm run package -- --vendor` made; without its node_modules it is what `npm run package` makes. It lies
   * where the vendored app is staged: copying its thousands of files would take longer than all the rest.
   */
  readonly pushed: string;
  remove(): Promise<void>;
}

export async function openStagingArea(): Promise<StagingArea> {
  const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-staging-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await chmod(folder, 0o755);
    const pushed = join(folder, 'vendored', 'app');
    await Promise.all([packageApp('--vendor', '--out', pushed), copyNode(folder)]);
    return { folder, pushed, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Runs `npm run package` without npm. Resolves to what it said. */
export async function packageApp(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(checkout, 'scripts', 'package.js'), ...args]);
  return stdout;
}

/** A staged app as a container finds it. */
export interface Droplet {
  /** Stands for /home/vcap, with `app` and `deps` in it. */
  readonly home: string;
}

/** Packages come from where npm gets them, which after `npm ci` is its own cache. */
export async function stageOnline({ folder, pushed }: StagingArea): Promise<Droplet> {
  const droplet = await openDroplet(folder, 'online');
  const app = join(droplet.home, 'app');
  await cp(pushed, app, { recursive: true, filter: (path) => path !== join(pushed, 'node_modules') });
  const [cache, registry] = await npmSettings();
  await npm(droplet, {
    args: ['install', '--unsafe-perm', '--userconfig', join(app, '.npmrc'), '--cache', cache],
    env: { NPM_CONFIG_REGISTRY: registry, NPM_CONFIG_PREFER_OFFLINE: 'true' },
  });
  const packages = join(droplet.home, 'deps', '0', 'node_modules');
  await rename(join(app, 'node_modules'), packages);
  await symlink(packages, join(app, 'node_modules'));
  return droplet;
}

/** The registry is one that must not be asked; npm's cache is empty. */
export async function stageVendored(
  { folder, pushed }: StagingArea,
  unusedRegistry: string,
): Promise<Droplet> {
  const droplet = await openDroplet(folder, 'vendored');
  const env = { NPM_CONFIG_REGISTRY: unusedRegistry };
  await npm(droplet, { args: ['rebuild', `--nodedir=${nodeFolder(droplet)}`], env });
  await npm(droplet, { args: ['install', '--unsafe-perm', '--userconfig', join(pushed, '.npmrc')], env });
  return droplet;
}

async function openDroplet(folder: string, name: string): Promise<Droplet> {
  const droplet = { home: join(folder, name) };
  const bin = join(droplet.home, 'deps', '0', 'bin');
  await mkdir(join(droplet.home, 'tmp'), { recursive: true });
  await mkdir(bin, { recursive: true });
  await symlink(join(folder, 'node'), nodeFolder(droplet));
  await symlink(join('..', 'node', 'bin', 'node'), join(bin, 'node'));
  return droplet;
}

/** As the buildpack brings its own Node.js; root's may lie in a folder that is closed to others. */
async function copyNode(folder: string): Promise<void> {
  const bin = join(folder, 'node', 'bin');
  await mkdir(bin, { recursive: true });
  await copyFile(process.execPath, join(bin, 'node'), constants.COPYFILE_FICLONE);
  await chmod(join(bin, 'node'), 0o755);
}

function nodeFolder({ home }: Droplet): string {
  return join(home, 'deps', '0', 'node');
}

interface NpmCall {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** npm in the app's folder with the buildpack's settings, and nothing that this process inherited from another npm. */
async function npm({ home }: Droplet, { args, env }: NpmCall): Promise<void> {
  await run('npm', args, {
    cwd: join(home, 'app'),
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      NODE_ENV: 'production',
      NODE_HOME: nodeFolder({ home }),
      NPM_CONFIG_PRODUCTION: 'true',
      NPM_CONFIG_LOGLEVEL: 'error',
      ...env,
    },
  });
}

async function npmSettings(): Promise<[cache: string, registry: string]> {
  const { stdout } = await run('npm', ['config', 'get', 'cache', 'registry'], { cwd: checkout });
  const [, cache] = /^cache=(.*)$/m.exec(stdout) ?? [];
  const [, registry] = /^registry=(.*)$/m.exec(stdout) ?? [];
  if (cache === undefined || registry === undefined) throw new Error(`npm config says: ${stdout}`);
  return [cache, registry];
}
