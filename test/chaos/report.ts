import { isGood } from './audit/finding.js';
import type { ChaosReport } from './run.js';

export function isGreen({ findings }: ChaosReport): boolean {
  return findings.every(isGood);
}

export function jsonLine(report: ChaosReport): string {
  return JSON.stringify({ ok: isGreen(report), ...report }, (_key, value: unknown) =>
    value === Infinity ? 'never' : value,
  );
}

export function text(report: ChaosReport): string {
  const lines = report.findings.flatMap((finding) => [
    `${isGood(finding) ? 'ok  ' : 'BAD '} ${finding.name}: ${finding.count} (at most ${finding.atMost})`,
    ...(isGood(finding) ? [] : finding.examples.map((example) => `       ${example}`)),
  ]);
  const figures = Object.entries(report.figures).map(
    ([name, value]) => `     ${name}: ${Number.isInteger(value) ? value : value.toFixed(1)}`,
  );
  const { seed, minutes, members, apps, intervalSecs, atOnce, faults, quick } = report.options;
  const chosen = [faults.length > 0 ? ` --faults ${faults.join(',')}` : '', quick ? ' --quick' : ''].join('');
  const verdict = isGreen(report) ? 'green' : 'NOT green';
  return [
    ...lines,
    ...figures,
    `${verdict}; again with: npm run chaos -- --minutes ${minutes} --seed ${seed} --members ${members} --apps ${apps} --interval ${intervalSecs} --at-once ${atOnce}${chosen}`,
  ].join('\n');
}
