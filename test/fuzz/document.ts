import { readFile } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { RawAnswer } from './answers.js';
import type { Endpoint, ListenerName } from './requests.js';

interface Content {
  readonly content?: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly paths: Readonly<
    Record<
      string,
      {
        readonly get: {
          readonly responses: Readonly<Record<string, Content>>;
          readonly parameters?: readonly { readonly in?: string; readonly name?: string }[];
        };
      }
    >
  >;
}

export interface ApiDocument {
  /** What it describes, the pages for people, and a path at which nothing is. */
  readonly endpoints: readonly Endpoint[];
  /** What is wrong with an answer, or null. */
  readonly judge: (answer: RawAnswer) => string | null;
}

/** Statuses of refusals before a route is known. */
const refusals = new Set([400, 401, 404, 405, 408, 409, 413, 414, 415, 431, 503]);

export async function readApiDocument(): Promise<ApiDocument> {
  const document = JSON.parse(
    await readFile(new URL('../../../docs/openapi.json', import.meta.url), 'utf8'),
  ) as Document;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'openapi');
  const bodies = Object.entries(document.paths).flatMap(([path, { get }]) =>
    [200, 503].flatMap((status) => {
      if (!get.responses[status]?.content?.['application/json']) return [];
      const pointer = [
        'paths',
        path,
        'get',
        'responses',
        `${status}`,
        'content',
        'application/json',
        'schema',
      ];
      const validate = ajv.compile({ $ref: `openapi#/${pointer.map(escapePointer).join('/')}` });
      return [{ status, validate }];
    }),
  );
  return {
    endpoints: [
      ...Object.entries(document.paths).map(([path, { get }]) => ({
        path,
        query: (get.parameters ?? []).flatMap((one) => (one.in === 'query' ? [one.name ?? ''] : [])),
        listeners: listenersOf(path),
      })),
      { path: '/health/apps', query: ['app', 'reason', 'cursor'], listeners: ['health'] },
      { path: '/health/apps/{guid}', query: [], listeners: ['health'] },
      { path: '/nothing/{here}', query: ['x'], listeners: ['api', 'cf'] },
    ],
    judge: (answer) => judge(answer, bodies),
  };
}

function listenersOf(path: string): readonly ListenerName[] {
  return path.startsWith('/v1/') ? ['api', 'cf'] : ['health'];
}

function judge(
  { status, mediaType, body }: RawAnswer,
  bodies: readonly { status: number; validate: ValidateFunction }[],
) {
  if (body === null) return null;
  if (mediaType === 'text/plain' && status === 401 && body === 'Unauthorized\n') return null;
  if (mediaType === 'text/plain' && status === 200 && body.startsWith('# HELP ')) return null;
  if (mediaType === 'text/html' && isPage(status, body)) return null;
  if (mediaType === '' && status === 303 && body === '') return null;
  if (mediaType !== 'application/json') return `a body of type "${mediaType}"`;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return 'a body that is no JSON';
  }
  if (refusals.has(status) && isOurError(value, status)) return null;
  if (bodies.some((one) => one.status === status && one.validate(value))) return null;
  return status === 500 ? 'an internal error' : 'a body that is not documented';
}

function isPage(status: number, body: string): boolean {
  return [200, 400, 503].includes(status) && body.startsWith('<!doctype html>') && body.endsWith('</html>\n');
}

function isOurError(value: unknown, status: number): boolean {
  const { code, message, ...others } = value as Record<string, unknown>;
  const expected = STATUS_CODES[status]?.replaceAll(' ', '-');
  return code === expected && typeof message === 'string' && Object.keys(others).length === 0;
}

function escapePointer(text: string): string {
  return encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));
}
