import { describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load-config.js';
import { readManifest } from './manifest.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const guide = readFileSync(join(checkout, 'docs', 'deploy-cloud-foundry.md'), 'utf8');

const pages = [
  'README.md',
  ...['docs', 'docs/decisions'].flatMap((folder) =>
    readdirSync(join(checkout, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
];

test.each(pages)('%s links only to what exists', (page) => {
  const text = readFileSync(join(checkout, page), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
  const broken = links.filter(([, path, anchor]) => {
    const target = path === '' || path === undefined ? page : join(dirname(page), path);
    if (!existsSync(join(checkout, target))) return true;
    return anchor !== undefined && !anchorsOf(target).has(anchor);
  });
  expect(broken.map(([link]) => link)).toEqual([]);
});

describe('docs/deploy-cloud-foundry.md', () => {
  test('its services start the app without a warning', () => {
    const { warnings, config } = loadConfig({ env: environment() });
    expect(warnings).toEqual([]);
    expect(config.pool.mode).toBe('elastic');
  });

  test('it creates the services that the manifest binds', () => {
    const created = [...guide.matchAll(/cf create-user-provided-service (\S+)/g)].map(([, name]) => name);
    expect(created).toEqual(readManifest().services);
  });
});

test('docs/deploy-bosh.md starts what the package holds', () => {
  const text = readFileSync(join(checkout, 'docs', 'deploy-bosh.md'), 'utf8');
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(text) ?? [];
  const { processes } = parse(yaml) as { processes: { args: string[] }[] };
  expect(processes[0]?.args.join(' ')).toMatch(/eventgenerator\/dist\/src\/cli\/main\.js -c \S+\.yml$/);
});

/** As GitHub makes them from headings. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = readFileSync(join(checkout, page), 'utf8').matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function environment(): NodeJS.ProcessEnv {
  const service = (file: string) => {
    const [, json = ''] = new RegExp(`cat > ${file} <<'EOF'\\n(.*?)\\nEOF`, 's').exec(guide) ?? [];
    const [, tags = ''] = new RegExp(`-p ${file} -t (\\S+)`).exec(guide) ?? [];
    return { name: file, tags: tags.split(','), credentials: JSON.parse(json) as object };
  };
  return {
    VCAP_APPLICATION: JSON.stringify({ organization_id: 'org', space_id: 'space' }),
    VCAP_SERVICES: JSON.stringify({ 'user-provided': [service('config.json'), service('database.json')] }),
    PORT: '8080',
    CF_INSTANCE_CERT: '/etc/cf-instance-credentials/instance.crt',
    CF_INSTANCE_KEY: '/etc/cf-instance-credentials/instance.key',
  };
}
