import { STATUS_CODES } from 'node:http';

export interface RawAnswer {
  readonly status: number;
  readonly mediaType: string;
  /** null: an answer that has none, as to HEAD. */
  readonly body: string | null;
}

/**
 * All answers on a connection, in their order. Throws where the bytes are no complete answers; `isHead` says so where
 * what was asked may have answers with the headers of a body and none.
 */
export function parseAnswers(bytes: Buffer, isHead: boolean): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) throw new Error('the headers do not end');
    const [statusLine = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    if (!(status in STATUS_CODES)) throw new Error(`no status line: ${statusLine.slice(0, 80)}`);
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    rest = rest.subarray(end + 4);
    if (status === 100) continue;
    // What cannot be read at all is refused with a body, since not even its method is known.
    const read = isHead && rest.length === 0 ? { body: null, length: 0 } : bodyOf(rest, headers);
    rest = rest.subarray(read.length);
    const [mediaType = ''] = (headers.get('content-type') ?? '').split(';');
    if (headers.has('x-injected')) throw new Error('a header of the request came back');
    answers.push({ status, mediaType, body: read.body });
  }
  return answers;
}

function bodyOf(bytes: Buffer, headers: ReadonlyMap<string, string>): { body: string; length: number } {
  if (headers.get('transfer-encoding') === 'chunked') return chunksOf(bytes);
  const length = Number(headers.get('content-length') ?? 0);
  if (bytes.length < length) throw new Error('the body is cut off');
  return { body: bytes.subarray(0, length).toString(), length };
}

function chunksOf(bytes: Buffer): { body: string; length: number } {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (lineEnd < 0 || !(size >= 0) || bytes.length < lineEnd + size + 4)
      throw new Error('the body is cut off');
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + size + 4;
    if (size === 0) return { body: Buffer.concat(chunks).toString(), length: at };
  }
}
