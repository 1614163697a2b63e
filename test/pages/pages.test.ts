import { describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { explain } from '../../src/explanation/explain.js';
import { appPage as appPageText, type AppPageData } from '../../src/pages/app-page.js';
import { appsPage as appsPageText, type AppsPageData } from '../../src/pages/apps-page.js';
import { chart } from '../../src/pages/chart.js';
import { markup } from '../../src/pages/html.js';
import { pageHeaders } from '../../src/pages/page.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { atMs, factsOf, knowledgeOf } from '../explanation/examples.js';
import { outRule, settings, steady } from '../evaluation/examples.js';

const rule = (changes: Partial<ScalingRule> = {}): ScalingRule => ({ ...outRule, ...changes });
/** Without the white space that lays out the source. */
const tight = (page: string) => page.replace(/>\s+|\s+</g, (space) => space.trim());
const appPage = (data: AppPageData) => tight(appPageText(data));
const appsPage = (data: AppsPageData) => tight(appsPageText(data));
const evil = `"><script>alert('&')</script>`;

function dataOf(rules: readonly ScalingRule[], changes: Partial<AppPageData> = {}): AppPageData {
  return {
    explanation: explain(factsOf(rules, { cpu: steady(90n) }), settings),
    points: new Map([['cpu', [{ atMs: atMs - 1000, value: 90 }]]]),
    fromMs: atMs - 2 * 24 * 3_600_000,
    changes: [],
    collectionIntervalMs: 40_000,
    ...changes,
  };
}

const appsData: AppsPageData = {
  nowMs: atMs,
  isObserver: false,
  counts: [{ reason: 'at-max', apps: 3 }],
  selected: {
    reason: 'at-max',
    apps: [{ appId: 'app', sinceMs: atMs, detail: 'at its maximum' }],
    nextCursor: null,
  },
  members: [],
  breakers: [{ name: 'Scaling engine', state: 'open' }],
};

test('texts are escaped in elements and in attributes; HTML is not escaped twice', () => {
  const inner = markup`<b title="${evil}">${evil}</b>`;
  const outer = markup`<p>${inner}${[inner]}${null}${7}</p>`.text;
  expect(outer).not.toMatch(/<script|'|`/);
  expect(outer.match(/<b title="&#34;&#62;&#60;script/g)).toHaveLength(2);
  expect(outer).toMatch(/<\/b>7<\/p>$/);
});

test('texts of tenants appear as text on both pages, wherever they come from', () => {
  const rules = [rule({ metricType: evil, operator: evil, adjustment: evil })];
  const facts = factsOf(
    rules,
    {},
    {
      appId: evil,
      missing: [evil],
      knowledge: knowledgeOf({
        lastTrigger: { atMs, rule: 1, adjustment: evil, direction: 'out', result: 'rejected', message: evil },
        failures: [{ metricType: evil, failure: 'timeout', message: evil, sinceMs: atMs }],
      }),
    },
  );
  const changes = [{ atMs, from: null, to: 'fired' as const, text: evil }];
  const points = new Map([[evil, [{ atMs, value: 1 }]]]);
  const pages = [
    appPage(dataOf(rules, { explanation: explain(facts, settings), changes, points })),
    appsPage({
      ...appsData,
      selected: { reason: 'at-max', apps: [{ appId: evil, sinceMs: atMs, detail: evil }], nextCursor: evil },
    }),
  ];
  for (const page of pages) {
    expect(page).toContain('&#60;script&#62;alert');
    expect(page).not.toContain('<script');
    expect(page).not.toContain(evil);
  }
});

test('the policy of content allows the one style that is on the page, and nothing else', () => {
  const [, style = ''] = /<style>([^]*)<\/style>/.exec(appsPageText(appsData)) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  expect(pageHeaders['content-security-policy']).toContain(`default-src 'none'; style-src 'sha256-${hash}'`);
  expect(appPage(dataOf([rule()]))).not.toMatch(/ style=|<link|<img|src=|http:|https:/);
});

test('the page of an app says the verdict, each rule with its newest value, and the last trigger', () => {
  const rules = [rule({ threshold: 80n }), rule({ threshold: 95n })];
  const knowledge = knowledgeOf({
    lastTrigger: {
      atMs,
      rule: 1,
      adjustment: '+1',
      direction: 'out',
      result: 'unavailable',
      message: 'status 503',
    },
  });
  const facts = factsOf(rules, { cpu: steady(90n) }, { knowledge });
  const page = appPage(dataOf(rules, { explanation: explain(facts, settings) }));
  expect(page).toContain('rule 1 (cpu &#62; 80 ');
  expect(page).toMatch(/ data-label="Verdict">fires<\/td><td class="number" data-label="Newest">90/);
  expect(page).toMatch(/ data-label="Verdict">not-breached \(behind rule 1\)<\/td>/);
  expect(page).toContain('unavailable: status 503');
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page).toContain('<td>instance 0, lease lease, since 22:03:20</td>');
  expect(page).toContain('<td>not-breached since 22:12:20 (instance 0, as of 22:13:19)</td>');
});

test('charts have all scalings that are known, the table the newest fifty changes', () => {
  const changes = Array.from({ length: 60 }, (_, i) => {
    const changedMs = atMs - i * 60_000;
    return { atMs: changedMs, from: null, to: 'fired' as const, text: `change ${i}.` };
  });
  const page = appPage(dataOf([rule()], { changes }));
  expect(page.match(/class="mark"/g)).toHaveLength(60);
  expect(page.match(/<td>change \d+\./g)).toHaveLength(50);
  expect(page).toContain('The newest 50 of 60 changes.');
});

test('the page of apps links each reason and each app, and says how the breakers are', () => {
  const page = appsPage(appsData);
  expect(page).toContain('<a href="/health/apps?reason=at-max">at-max</a></td><td class="number">3</td>');
  const unlisted = appsPage({ ...appsData, counts: [{ reason: 'unknown', apps: 1 }], selected: null });
  expect(unlisted).toContain('<td>unknown</td><td class="number">1</td>');
  expect(page).toContain('<a href="/health/apps/app">app</a>');
  expect(page).toContain('<th>Scaling engine</th><td>open</td>');
  expect(appsPage({ ...appsData, counts: null, selected: null, members: null })).toContain('not known here');
});

describe('a chart', () => {
  const options = { title: 'cpu', fromMs: 0, toMs: 7_800, threshold: 80, gapMs: 120, marks: [] };
  const lines = (text: string) =>
    [...text.matchAll(/points="([^"]*)"/g)].map(([, points = '']) =>
      points.split(' ').map((point) => point.split(',').map(Number)),
    );

  test('keeps the smallest and the largest of many points of a pixel, and few in all', () => {
    // 10 ms a pixel, 1,000 points.
    const points = Array.from({ length: 7_800 }, (_, i) => ({
      atMs: i,
      value: i === 4_321 ? 500 : i === 4_327 ? 3 : 50,
    }));
    const [line = []] = lines(chart(points, options).text);
    expect(line.length).toBeLessThanOrEqual(4 * 780);
    const heights = line.map(([, y]) => y ?? NaN);
    const level = heights[0] ?? NaN;
    expect(heights.filter((y) => y < level)).toHaveLength(1);
    expect(heights.filter((y) => y > level)).toHaveLength(1);
  });

  test('breaks its line where points are missing or have no data, and shows where there is none', () => {
    const at = (atMs: number, value: number | null) => ({ atMs, value });
    const points = [at(0, 1), at(100, 1), at(200, null), at(300, 1), at(400, 1), at(1_000, 1), at(1_100, 1)];
    const { text } = chart(points, options);
    expect(lines(text)).toHaveLength(3);
    expect(text.match(/class="no-data"/g)).toHaveLength(1);
  });

  test('shows no data where there was none, and not where nothing was collected', () => {
    const widths = (...points: { atMs: number; value: number | null }[]) =>
      [...chart(points, options).text.matchAll(/class="no-data"[^>]* width="([^"]*)"/g)].map(
        ([, width]) => width,
      );
    const at = (atMs: number, value: number | null) => ({ atMs, value });
    expect(widths(at(0, null), at(100, null), at(200, 1))).toEqual(['20']);
    expect(widths(at(0, null), at(100, null), at(5_000, null), at(5_100, 1))).toEqual(['11', '10']);
  });

  test('draws one point alone, the threshold, and marks', () => {
    const { text } = chart([{ atMs: 100, value: 40 }], { ...options, marks: [{ atMs: 50, text: evil }] });
    expect(lines(text)).toEqual([[expect.any(Array), expect.any(Array)]]);
    expect(text.match(/class="threshold"/g)).toHaveLength(1);
    expect(text).toMatch(/class="mark" x1="75"/);
    expect(text).not.toContain(evil);
  });

  test('has no number that is none, whatever it is given', () => {
    const large = [
      { atMs: 0, value: Number(2n ** 63n - 1n) },
      { atMs: 1, value: -Number(2n ** 63n) },
    ];
    for (const points of [[], [{ atMs: 0, value: 0 }], [{ atMs: 0, value: null }], large]) {
      for (const threshold of [0, -5, 80])
        expect(chart(points, { ...options, threshold, toMs: 0 }).text).not.toMatch(/NaN|Infinity/);
    }
  });
});
