import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export interface AppManifest {
  readonly name: string;
  readonly path: string;
  readonly buildpacks: readonly string[];
  readonly instances: number;
  readonly memory: string;
  readonly disk_quota: string;
  readonly routes: readonly { readonly route: string }[];
  readonly services: readonly string[];
  readonly command: string;
  readonly [attribute: string]: unknown;
}

export function readCheckoutFile(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../../../${name}`, import.meta.url)), 'utf8');
}

/** The one app of manifest.yml with the values of vars.yml, as `cf push --vars-file vars.yml` puts them together. */
export function readManifest(): AppManifest {
  const vars = parse(readCheckoutFile('vars.yml')) as Record<string, unknown>;
  const text = readCheckoutFile('manifest.yml').replace(/\(\(([\w-]+)\)\)/g, (_, name: string) => {
    if (!(name in vars)) throw new Error(`vars.yml has no value for ((${name}))`);
    return JSON.stringify(vars[name]);
  });
  const { applications } = parse(text) as { applications: readonly AppManifest[] };
  const [app, ...more] = applications;
  if (!app || more.length > 0) throw new Error('manifest.yml must hold one application');
  return app;
}
