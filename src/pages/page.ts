import { createHash } from 'node:crypto';
import { chartStyle, colours } from './chart-style.js';
import { Html, markup } from './html.js';

const style = `${colours}* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
a { color: var(--values); }
h1 { font-size: 1.35rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p { margin: .3rem 0; }
.muted { color: var(--muted); }
.verdict { padding: .7rem 1rem; border: 1px solid var(--line); border-left: .4rem solid var(--muted); border-radius: .3rem; background: var(--panel); overflow-wrap: anywhere; }
.verdict.fired { border-left-color: var(--good); }
.verdict.held { border-left-color: var(--wait); }
.verdict.bad { border-left-color: var(--bad); }
.table, .chart { overflow-x: auto; }
.rules table { min-width: 46rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
form { display: flex; gap: .5rem; flex-wrap: wrap; margin: .6rem 0; }
input, button { font: inherit; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--back); color: inherit; }
input { flex: 1 1 16rem; min-width: 0; max-width: 28rem; }
svg { width: 100%; min-width: 34rem; height: auto; display: block; margin: .3rem 0; }
${chartStyle}`;

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
