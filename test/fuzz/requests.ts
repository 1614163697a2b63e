import { METHODS } from 'node:http';
import type { Random } from '../chaos/random.js';

/** Where requests go: the listeners of a VM, which together offer everything. */
export type ListenerName = 'api' | 'cf' | 'health';

export interface Endpoint {
  /** As the API's document has it, with `{parameters}`. */
  readonly path: string;
  /** Names of query parameters. */
  readonly query: readonly string[];
  readonly listeners: readonly ListenerName[];
}

/** What a client with every right would send. */
export interface Credentials {
  readonly xfcc: string;
  readonly authorization: string;
}

export interface GeneratedRequest {
  readonly endpoint: string;
  readonly listener: ListenerName;
  readonly bytes: Buffer;
  /** It is HTTP/1.1 as it should be, asks for the end of the connection, and must get an answer. */
  readonly wellFormed: boolean;
}

/** One request, often a correct one with something odd in it, sometimes what is no HTTP any more. */
export function generateRequest(
  endpoint: Endpoint,
  random: Random,
  credentials: Credentials,
): GeneratedRequest {
  const listener = random.pick(endpoint.listeners);
  const version = random.chance(0.95)
    ? 'HTTP/1.1'
    : random.pick(['HTTP/1.0', 'HTTP/1.1 ', 'HTTP/2.0', 'http/1.1']);
  const method = random.chance(0.7)
    ? 'GET'
    : random.chance(0.9)
      ? random.pick(METHODS)
      : random.pick(oddMethods);
  const target = random.chance(0.97) ? targetOf(endpoint, random) : random.pick(oddTargets);
  const { headers, body } = headersOf(random, credentials);
  const text = `${method} ${target} ${version}\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n${body}`;
  const whole = Buffer.from(text, 'latin1');
  const broken = random.chance(0.1);
  return {
    endpoint: endpoint.path,
    listener,
    bytes: broken ? breakIn(whole, random) : whole,
    wellFormed:
      !broken &&
      version === 'HTTP/1.1' &&
      METHODS.includes(method) &&
      !oddTargets.includes(target) &&
      body.length < largeBody,
  };
}

/** From here on the server may have ended the connection before all is sent. Bytes. */
const largeBody = 16_000;

const oddMethods = ['FOO', 'get', 'G\0T', '', 'PRI', 'GET GET', 'X'.repeat(3_000)];
const oddTargets = [
  '*',
  '',
  '//',
  '?',
  'http://other/health',
  '/%',
  '/%zz',
  '/\xff\xfe',
  '/a b',
  '/../../etc/passwd',
  '\\',
];

/** Texts that have broken programs before. */
const oddTexts = [
  ...[
    '',
    '0',
    '-1',
    '+5',
    '1e3',
    'NaN',
    'null',
    'undefined',
    'true',
    '[]',
    '{}',
    "'",
    '"',
    '\\',
    ';',
    '--',
    '%',
    '%25',
  ],
  ...[
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775809',
    '0x10',
    ' 1',
    '1 ',
    '٣',
    '1'.repeat(400),
  ],
  ...[
    'a'.repeat(255),
    'a'.repeat(256),
    '../..',
    '.',
    '..',
    '%00',
    '%c3%28',
    '%e2%82%ac',
    '😀',
    '\0',
    '<script>',
    '${x}',
    '{{x}}',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    "' or 1=1 --",
    '\r\nX-Injected: 1',
    '%0d%0aX-Injected:%201',
    'ASC',
    'desc',
    'up',
  ],
];

function targetOf({ path, query }: Endpoint, random: Random): string {
  const filled = path.replace(/\{\w+\}/g, () =>
    encoded(random.chance(0.5) ? random.pick(['app-1', 'cpu']) : oddText(random), random),
  );
  const names = [...query, ...(random.chance(0.1) ? [oddText(random), 'page'] : [])];
  const parameters = names
    .flatMap((name) => (random.chance(0.5) ? [name] : random.chance(0.1) ? [name, name] : []))
    .map((name) => `${encoded(name, random)}=${encoded(valueFor(name, random), random)}`);
  return parameters.length === 0 ? filled : `${filled}?${parameters.join('&')}`;
}

/** A profile must not take its time; everything else is odd often enough. */
function valueFor(name: string, random: Random): string {
  if (name === 'reason' && random.chance(0.5)) return 'not-breached';
  if (name === 'seconds') return random.chance(0.5) ? '0.01' : random.pick(['0', '-1', 'x', '31', '']);
  return oddText(random);
}

function oddText(random: Random): string {
  if (random.chance(0.7)) return random.pick(oddTexts);
  return Buffer.from(Array.from({ length: random.whole(0, 40) }, () => random.whole(0, 255))).toString(
    'latin1',
  );
}

/** Mostly as it must be in a URL. */
function encoded(text: string, random: Random): string {
  if (random.chance(0.8)) return encodeURIComponent(Buffer.from(text).toString());

  return text.replace(/[\x00-\x20]/g, '%20');
}

function headersOf(
  random: Random,
  { xfcc, authorization }: Credentials,
): { headers: string[]; body: string } {
  const headers = [
    random.chance(0.97) ? 'Host: localhost' : `Host: ${headerText(random)}`,
    'Connection: close',
  ];
  if (random.chance(0.02)) headers.shift();
  if (random.chance(0.8))
    headers.push(`X-Forwarded-Client-Cert: ${random.chance(0.8) ? xfcc : headerText(random)}`);
  if (random.chance(0.02)) headers.push(`X-Forwarded-Client-Cert: ${xfcc}`);
  if (random.chance(0.8))
    headers.push(`Authorization: ${random.chance(0.8) ? authorization : headerText(random)}`);
  if (random.chance(0.2)) headers.push(`${random.pick(oddHeaders)}: ${headerText(random)}`);
  if (!random.chance(0.15)) return { headers, body: '' };
  const length = random.chance(0.9) ? random.whole(0, 500) : random.whole(largeBody, 20_000);
  const body = 'x'.repeat(length);
  if (random.chance(0.3)) {
    headers.push('Transfer-Encoding: chunked');
    return { headers, body: `${length.toString(16)}\r\n${body}\r\n${length === 0 ? '' : '0\r\n'}\r\n` };
  }
  headers.push(
    `Content-Length: ${length}`,
    `Content-Type: ${random.pick(['application/json', 'text/plain', '', 'x/y; z'])}`,
  );
  return { headers, body };
}

const oddHeaders = [
  ...[
    'Accept',
    'Accept-Version',
    'Accept-Encoding',
    'Cookie',
    'Expect',
    'Upgrade',
    'Range',
    'If-None-Match',
    'Origin',
  ],
  ...[
    'X-Forwarded-For',
    'X-Http-Method-Override',
    'Content-Encoding',
    'Trailer',
    'Via',
    'Forwarded',
    'TE',
    'X-Odd',
  ],
];

/** In a header's value a line break would begin another header, so there is none. */
function headerText(random: Random): string {
  return Buffer.from(oddText(random))
    .toString('latin1')
    .replace(/[\x00-\x1f\x7f]/g, ' ')
    .trim();
}

/** Cuts it off, or changes, leaves out or adds some bytes. */
function breakIn(bytes: Buffer, random: Random): Buffer {
  const at = random.whole(0, bytes.length - 1);
  const some = Buffer.from(Array.from({ length: random.whole(1, 8) }, () => random.whole(0, 255)));
  switch (random.whole(0, 4)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some.length)]);
    case 3:
      return Buffer.from(
        bytes.toString('latin1').replaceAll('\r\n', random.pick(['\n', '\r', '\r\n\r\n', '\r\n '])),
        'latin1',
      );
    default:
      return some;
  }
}
