import { createHash } from 'node:crypto';
import { chartStyle, colours } from './chart-style.js';
import { Html, markup } from './html.js';

const style = `${colours}* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
a { color: var(--values); }
h1 { font-size: 1.35rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; }
.muted { color: var(--muted); }
.verdict { padding: .7rem 1rem; border: 1px solid var(--line); border-left: .4rem solid var(--muted); border-radius: .3rem; background: var(--panel); overflow-wrap: anywhere; }
.verdict.fired { border-left-color: var(--good); }
.verdict.held { border-left-color: var(--wait); }
.verdict.bad { border-left-color: var(--bad); }
.table, .chart { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.word { white-space: nowrap; }
.small table { width: auto; min-width: min(24rem, 100%); }
form { display: flex; gap: .5rem; flex-wrap: wrap; margin: .6rem 0; }
input, button { font: inherit; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--back); color: inherit; }
input { flex: 1 1 16rem; min-width: 0; max-width: 28rem; }
svg { width: 100%; min-width: 34rem; height: auto; display: block; margin: .3rem 0; }
${chartStyle}@media (max-width: 44rem) {
  tr { display: block; padding: .35rem 0; border-bottom: 1px solid var(--line); }
  .small tr { display: flex; justify-content: space-between; }
  .small td.number { text-align: right; }
  th, td { display: block; padding: .1rem 0; border: 0; }
  tr.head { display: none; }
  th, td.word, td.number { white-space: normal; }
  .chart .axis { font-size: 16px; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--muted); }
}
`;

const styleHash = createHash('sha256').update(style).digest('base64');

/** No script, nothing from elsewhere, in nobody's frame: texts of tenants stand on these pages. */
export const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

export function page(title: string, body: Html): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}
