/*
 * `npm run package`: makes the folder that `cf push` pushes. Plain JavaScript, because it has to run before anything
 * is compiled.
 *
 * The folder holds the compiled program, a package.json that lists nothing but what runs, and a lock file cut down
 * to the same, so that the buildpack installs exactly the versions that were tested and no package for development.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const run = promisify(execFile);
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const defaultFolder = join('build', 'app');

const help = `Usage: npm run package -- [options]

Makes the folder that \`cf push --vars-file vars.yml\` pushes: compiled code, package.json, package-lock.json.
Run \`npm ci\` before it.

Options:
  --vendor      Put the packages it needs into the folder, for a foundation without access to a package registry
  --out FOLDER  Where it is made (default: ${defaultFolder}, which manifest.yml names); what it holds is replaced
  -h, --help    Show this help
`;

/**
 * The lines of Node.js that the tests run on. A list of ranges and not "at least 20.19": the buildpack takes the newest
 * version that matches, and a line that did not exist when this was written has not been tried.
 */
const nodeVersions = '^20.19.0 || ^22.12.0 || ^24.0.0';

/** Nothing but the install itself: npm's audit would wait for a network that may not be there. */
const npmrc = ['audit=false', 'fund=false', 'update-notifier=false'];

/** What a Cloud Foundry cell is, wherever this runs: packages with compiled parts come in one variant per platform. */
const cell = ['--os=linux', '--cpu=x64', '--libc=glibc'];

class PackagingError extends Error {}

async function main() {
  const { vendor, out } = options();
  const folder = resolve(root, out);
  await refuseForeignFolder(folder);
  const [manifest, lock] = await Promise.all([readJson('package.json'), readJson('package-lock.json')]);
  const pushed = pushedManifest(manifest);
  // Made beside its place: whoever pushes meanwhile, or after a failure, finds the old one or none, never half of one.
  const unfinished = `${folder}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  try {
    await Promise.all([
      writeJson(join(unfinished, 'package.json'), pushed),
      writeJson(join(unfinished, 'package-lock.json'), pushedLock(lock, manifest, pushed)),
      writeLines(join(unfinished, '.npmrc'), npmrc),
    ]);
    await Promise.all([compile(join(unfinished, 'dist')), vendor ? installInto(unfinished) : undefined]);
    await rm(folder, { recursive: true, force: true });
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
  const { files, bytes } = await sizeOf(folder);
  const place = relative(root, folder);
  say(
    `${place}: ${files} files, ${(bytes / 1e6).toFixed(1)} MB, ${vendor ? 'packages included' : 'packages are installed by the buildpack'}`,
  );
  if (place === defaultFolder) say('Now: cf push --vars-file vars.yml');
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        vendor: { type: 'boolean', default: false },
        out: { type: 'string', default: defaultFolder },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) {
      process.stdout.write(help);
      process.exit(0);
    }
    if (values.out === '') throw new Error('--out needs the name of a folder');
    return values;
  } catch (error) {
    process.stderr.write(`package: ${error.message}\n\n${help}`);
    process.exit(2);
  }
}

/** What is in the folder is deleted: it must hold nothing but what is made here. */
async function refuseForeignFolder(folder) {
  const ours = ['.npmrc', 'dist', 'node_modules', 'package-lock.json', 'package.json'];
  const names = await readdir(folder).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw new PackagingError(`${folder} cannot be used: ${error.message}`);
  });
  const isOurs = names.every((name) => ours.includes(name)) && names.includes('dist');
  if (names.length > 0 && !isOurs) {
    throw new PackagingError(
      `${folder} holds something else: name an empty folder, or one that does not exist, with --out`,
    );
  }
}

/** Without what only developers need. `overrides` stay, because the lock file was resolved with them. */
function pushedManifest({ name, version, description, type, dependencies, overrides }) {
  return {
    name,
    version,
    description,
    private: true,
    type,
    engines: { node: nodeVersions },
    scripts: { start: 'node dist/src/cli/main.js' },
    dependencies,
    overrides,
  };
}

/** The same tree of packages less those for development; nothing is resolved anew. */
function pushedLock(lock, manifest, pushed) {
  if (!(lock.lockfileVersion >= 2)) {
    throw new PackagingError(
      'package-lock.json is of an old format: write it anew with `npm install` of npm 10 or newer',
    );
  }
  const lockedDependencies = lock.packages['']?.dependencies ?? {};
  const changed = Object.keys({ ...lockedDependencies, ...manifest.dependencies }).filter(
    (name) => lockedDependencies[name] !== manifest.dependencies[name],
  );
  if (changed.length > 0) {
    throw new PackagingError(
      `package-lock.json does not fit package.json (${changed.join(', ')}): run \`npm install\``,
    );
  }
  const packages = {
    '': {
      name: pushed.name,
      version: pushed.version,
      dependencies: pushed.dependencies,
      engines: pushed.engines,
    },
  };
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '' || entry.dev) continue;
    // Optional for what runs, and needed by something for development.
    const { devOptional, ...kept } = entry;
    packages[path] = devOptional ? { ...kept, optional: true } : kept;
  }
  return {
    name: pushed.name,
    version: pushed.version,
    lockfileVersion: lock.lockfileVersion,
    requires: true,
    packages,
  };
}

async function compile(outDir) {
  say('compiling');
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  await access(compiler).catch(() => {
    throw new PackagingError('the compiler is not installed: run `npm ci`');
  });
  const project = join(root, 'tsconfig.package.json');
  await execute(
    'the code does not compile',
    process.execPath,
    [compiler, '-p', project, '--outDir', outDir],
    root,
  );
}

/** With checksums verified, and without running anybody's scripts: no package here needs one. */
async function installInto(folder) {
  say('installing packages');
  const args = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', ...cell];
  await execute('the packages cannot be installed', 'npm', args, folder);
}

async function execute(problem, command, args, cwd) {
  try {
    await run(command, args, { cwd, maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    throw new PackagingError(`${problem}:\n${error.stdout ?? ''}${error.stderr || error.message}`.trimEnd());
  }
}

async function sizeOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function readJson(name) {
  return JSON.parse(await readFile(join(root, name), 'utf8'));
}

function writeJson(path, value) {
  return writeFile(path, JSON.stringify(value, null, 2) + '\n');
}

function writeLines(path, lines) {
  return writeFile(path, lines.join('\n') + '\n');
}

function say(text) {
  process.stdout.write(`package: ${text}\n`);
}

main().catch((error) => {
  process.stderr.write(`package: ${error instanceof PackagingError ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
