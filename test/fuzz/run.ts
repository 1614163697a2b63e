import type { Releasers } from '../../src/util/releasers.js';
import { residentBytes } from '../bench/processes/usage.js';
import { Random } from '../chaos/random.js';
import { eventually } from '../support/eventually.js';
import { parseAnswers } from './answers.js';
import { readApiDocument, type ApiDocument } from './document.js';
import { exchange } from './exchange.js';
import type { FuzzOptions } from './options.js';
import { generateRequest, type GeneratedRequest } from './requests.js';
import { setScene, type FuzzScene } from './scene.js';

const atOnce = 16;
/** A run with more is broken in one way many times. */
const mostFindings = 20;
/** Of memory between the first tenth of a run and its end: what the garbage collector may leave. Bytes. */
const allowedGrowth = 96 * 1024 * 1024;
/** Connections to databases and log-cache come and go. */
const allowedDescriptors = 15;

export interface FuzzReport {
  readonly options: FuzzOptions;
  readonly requests: number;
  /** Requests by the status of the answer; `none` where there was none. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly findings: readonly string[];
  readonly growth: { readonly residentMiB: number; readonly descriptors: number; readonly inWork: number };
}

export async function runFuzz(
  options: FuzzOptions,
  releasers: Releasers,
  progress: (line: string) => void,
): Promise<FuzzReport> {
  const document = await readApiDocument();
  const scene = await setScene(releasers);
  const statuses: Record<string, number> = {};
  const findings: string[] = [];
  const all = document.endpoints.length * options.requests;
  const random = new Random(options.seed);
  let begun = 0;
  let before: ReturnType<typeof measure> | undefined;

  /** Endpoints take turns, so that a growth shows whichever is its cause. */
  const sender = async () => {
    while (begun < all && findings.length < mostFindings && !scene.process.hasEnded()) {
      const number = begun++;
      if (number === Math.floor(all / 10)) before = measure(scene);
      if (number % 5_000 === 0) progress(`${number} of ${all} requests`);
      const endpoint = document.endpoints[number % document.endpoints.length];
      if (!endpoint) return;
      const request = generateRequest(endpoint, random.fork(number), scene.credentials);
      const { seen, fault } = await tryOut(request, scene, document);
      for (const status of seen) statuses[status] = (statuses[status] ?? 0) + 1;
      if (fault !== null)
        findings.push(`request ${number} to ${request.listener}: ${fault}: ${excerpt(request)}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sender));

  const inWork = await endedRequests(scene).catch(() => NaN);
  const growth = { ...differenceOf(before ?? measure(scene), measure(scene)), inWork };
  if (growth.residentMiB * 2 ** 20 > allowedGrowth) findings.push(`memory grew by ${growth.residentMiB} MiB`);
  if (growth.descriptors > allowedDescriptors)
    findings.push(`${growth.descriptors} more descriptors are open`);
  if (inWork !== 1) findings.push('requests are still in work');
  findings.push(...processFaults(scene));
  return { options, requests: begun, statuses, findings, growth };
}

async function tryOut(
  request: GeneratedRequest,
  { target }: FuzzScene,
  document: ApiDocument,
): Promise<{ seen: readonly string[]; fault: string | null }> {
  const { listener, bytes, wellFormed } = request;
  try {
    const received = await exchange(target, { listener, bytes, leave: !wellFormed });
    if (received.length === 0) return { seen: ['none'], fault: wellFormed ? 'no answer' : null };
    const answers = parseAnswers(received, bytes.subarray(0, 5).toString() === 'HEAD ');
    const fault = answers.map((answer) => document.judge(answer)).find((one) => one !== null);
    const [first] = answers;
    return {
      seen: answers.map(({ status }) => `${status}`),
      fault: fault === undefined ? null : `${fault} (${first?.status} ${first?.body?.slice(0, 200)})`,
    };
  } catch (error) {
    const message = (error as Error).message;
    // A client that leaves may lose the end of its answer.
    const lost = !wellFormed && /cut off|do not end/.test(message);
    return { seen: ['broken'], fault: lost ? null : message };
  }
}

function excerpt({ bytes }: GeneratedRequest): string {
  return JSON.stringify(bytes.subarray(0, 300).toString('latin1'));
}

/** Requests being answered once all clients have left: the one that asks. */
function endedRequests({ scrape }: FuzzScene): Promise<number> {
  return eventually('no other request in work', async () => {
    const inWork = (await scrape()).sum('autoscaler_eventgenerator_concurrent_http_request');
    return inWork === 1 && inWork;
  });
}

function measure({ process, openDescriptors }: FuzzScene) {
  return { resident: residentBytes(process.pid), descriptors: openDescriptors() };
}

function differenceOf(before: ReturnType<typeof measure>, after: ReturnType<typeof measure>) {
  return {
    residentMiB: Math.round((after.resident - before.resident) / 2 ** 20),
    descriptors: after.descriptors - before.descriptors,
  };
}

const signsOfDefects = /uncaught-exception|unhandled-rejection|request-failed|page-failed/;

function processFaults({ process }: FuzzScene): string[] {
  const defects = process.lines.filter(({ message }) => signsOfDefects.test(message));
  return [
    ...(process.hasEnded() ? ['the process ended'] : []),
    ...defects
      .slice(0, mostFindings)
      .map(({ message, data }) => `${message}: ${JSON.stringify(data).slice(0, 500)}`),
  ];
}
