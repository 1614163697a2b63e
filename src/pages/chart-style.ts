/** The colours of pages and charts, for light and dark screens. */
export const colours = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --back: #fff; --panel: #f6f8fa; --line: #d0d7de;
  --good: #1a7f37; --bad: #b42318; --wait: #8a5a00; --values: #0969da; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --muted: #9da7b3; --back: #0d1117; --panel: #161b22;
  --line: #3d444d; --good: #3fb950; --bad: #ff7b72; --wait: #d29922; --values: #58a6ff; } }
`;

/** Of what `chart` draws. */
export const chartStyle = `
.axis { font-size: 12px; fill: var(--muted); }
.frame { fill: var(--panel); stroke: var(--line); }
.values { fill: none; stroke: var(--values); stroke-width: 1.5; }
.threshold { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; }
.no-data { fill: var(--wait); }
.mark { stroke: var(--good); stroke-width: 1.5; }
`;
