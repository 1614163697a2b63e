import type { LogLine } from '../../bench/processes/eventgenerator-process.js';
import type { Generation, Member } from '../member.js';
import type { Stage } from '../stage.js';
import type { Sample, Watch } from '../watch.js';
import { finding, measured, timeOf, type Finding } from './finding.js';

/** Lines of one process in a minute, of which each minute may have this many however much goes wrong. */
const linesPerMinute = 120;
/** Lines of one message, with its kinds (of failure, say), in a minute. */
const linesOfOneMessage = 12;
/** One line for each app that was scaled is no repetition. */
const perApp = new Set([
  'eventgenerator.evaluation.scaled',
  'eventgenerator.evaluation.app-breaker-opened',
  'eventgenerator.evaluation.app-breaker-closed',
]);
/** Have bounds of their own: 20 for each read of the policies, 60 a minute. */
const boundedElsewhere = new Set([
  'eventgenerator.policy.policy-broken',
  'eventgenerator.policy.policy-usable-again',
  'eventgenerator.decisions.decision-changed',
]);
/** Lines that mean a defect, whatever happened around. */
const defects =
  /\.(uncaught-exception|unhandled-rejection|listener-failed|round-failed|request-failed|certificate-listener-failed|collector-thread-failed|stop-took-too-long|release-failed)$/;

/** What may come on top while a process warms up, of what it holds when it has worked for a while. */
const memoryGrowth = { share: 0.3, mib: 60 };
const descriptorGrowth = 40;
const timerGrowth = 40;
/** Of a process's life, after which it should hold what it needs. */
const warmUpMs = 60_000;

export function auditProcesses({ members, stops }: Stage, watch: Watch): Finding[] {
  const generations = members.flatMap((member) =>
    member.generations.map((generation) => ({ member, generation })),
  );
  const growths = generations.flatMap(({ member, generation }) =>
    growthOf(member, watch.samples.get(generation)),
  );
  const lateStops = stops.filter(({ code, ms }) => code !== 0 || ms > 9_000);
  return [
    finding('processes that ended by themselves', generations.flatMap(crashOf)),
    finding(
      'stops that were not clean',
      lateStops.map(({ member, code, ms }) => `member ${member}: ${code} after ${Math.round(ms)} ms`),
    ),
    finding(
      'lines that mean a defect',
      generations.flatMap(({ member, generation }) => defectsOf(member, generation)),
    ),
    ...logFindings(generations),
    ...(['memory', 'descriptors', 'timers'] as const).map((what) =>
      finding(
        `processes whose ${what} grew`,
        growths.filter((growth) => growth.startsWith(what)),
      ),
    ),
  ];
}

/** A process that could not start because of a fault says so and ends; the platform starts another. */
function crashOf({
  member,
  generation: { end, process },
}: {
  member: Member;
  generation: Generation;
}): string[] {
  if (end !== 'crashed') return [];
  const hadStarted = process.lines.some(({ message }) => message === 'eventgenerator.started');
  const last = process.lines.at(-1);
  return hadStarted ? [`member ${member.index}: ${JSON.stringify(last)}`] : [];
}

function defectsOf({ index }: Member, { process }: Generation): string[] {
  return process.lines
    .filter(({ message }) => defects.test(message))
    .map(
      (line) =>
        `${timeOf(line.readAtMs)} member ${index} ${line.message}: ${JSON.stringify(line.data).slice(0, 400)}`,
    );
}

function logFindings(generations: readonly { generation: Generation }[]): Finding[] {
  const minutes = generations.flatMap(({ generation }) => [...byMinute(generation.process.lines)]);
  const most = Math.max(0, ...minutes.map((lines) => lines.length));
  const ofOneMessage = minutes.flatMap((lines) => [...byMessage(lines)]);
  const mostOfOne = Math.max(0, ...ofOneMessage.map(([, count]) => count));
  const worst = ofOneMessage
    .filter(([, count]) => count > linesOfOneMessage)
    .map(([message, count]) => `${message}: ${count}`);
  return [
    measured('most lines of a process in a minute', most, linesPerMinute),
    measured('most lines of one message in a minute', mostOfOne, linesOfOneMessage, worst),
  ];
}

function byMinute(lines: readonly LogLine[]): Iterable<LogLine[]> {
  const minutes = new Map<number, LogLine[]>();
  for (const line of lines) {
    if (perApp.has(line.message)) continue;
    const minute = Math.floor(line.readAtMs / 60_000);
    const known = minutes.get(minute);
    if (known) known.push(line);
    else minutes.set(minute, [line]);
  }
  return minutes.values();
}

function byMessage(lines: readonly LogLine[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { message } of lines)
    if (!boundedElsewhere.has(message)) counts.set(message, (counts.get(message) ?? 0) + 1);
  return counts;
}

/** What a process holds at its end more than after its first minute, beyond what is allowed. */
function growthOf({ index }: Member, samples: readonly Sample[] = []): string[] {
  const startMs = samples[0]?.atMs ?? 0;
  const warm = samples.filter(({ atMs }) => atMs - startMs > warmUpMs);
  if (warm.length < 12) return [];
  const early = warm.slice(0, Math.ceil(warm.length / 3));
  const late = warm.slice(-3);
  const found: string[] = [];
  const hold = (what: string, key: Exclude<keyof Sample, 'atMs'>, allowed: (early: number) => number) => {
    const [before, after] = [median(early.map((each) => each[key])), median(late.map((each) => each[key]))];
    if (after > allowed(before))
      found.push(`${what} of member ${index}: ${Math.round(before)} to ${Math.round(after)}`);
  };
  hold('memory', 'residentMiB', (mib) => mib * (1 + memoryGrowth.share) + memoryGrowth.mib);
  hold('descriptors', 'descriptors', (count) => count + descriptorGrowth);
  hold('timers', 'timers', (count) => count + timerGrowth);
  return found;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
