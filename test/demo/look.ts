/*
 * How lines look: colours where the terminal has them, block characters where its character set has them. A text is
 * brought to its width before it is coloured, so nobody has to know how long an escape sequence is.
 */

export type Tone = 'plain' | 'strong' | 'quiet' | 'above' | 'below' | 'good' | 'bad';

export interface Look {
  readonly colours: boolean;
  /** Block characters, arrows and dots; else ASCII. */
  readonly unicode: boolean;
}

/** Parameters of the escape sequence that selects them; the terminal's own colours, readable on dark and light. */
const sequences: Readonly<Record<Exclude<Tone, 'plain'>, string>> = {
  strong: '1',
  quiet: '2',
  above: '33',
  below: '36',
  good: '32',
  bad: '31',
};

export function toned(look: Pick<Look, 'colours'>, tone: Tone, text: string): string {
  return look.colours && tone !== 'plain' && text !== '' ? `\x1b[${sequences[tone]}m${text}\x1b[0m` : text;
}

/** Exactly this many characters, the end cut off where it is too long. */
export function fit(look: Pick<Look, 'unicode'>, text: string, width: number): string {
  return cut(look, text, width).padEnd(Math.max(0, width));
}

/** At most this many characters. */
export function cut(look: Pick<Look, 'unicode'>, text: string, width: number): string {
  if (text.length <= width) return text;
  const mark = look.unicode ? '…' : '.';
  return width <= 0 ? '' : text.slice(0, width - 1) + mark;
}

/** As few lines of at most this many characters as the words need. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line += (line === '' ? '' : ' ') + word;
  }
  return [...lines, line];
}

export function arrow({ unicode }: Pick<Look, 'unicode'>): string {
  return unicode ? '→' : '->';
}

/** Heights of a bar from lowest to highest. */
export function barHeights({ unicode }: Pick<Look, 'unicode'>): string {
  return unicode ? '▁▂▃▄▅▆▇█' : '_.:-=+*#';
}

/** Stands for a value that is missing. */
export function gapMark({ unicode }: Pick<Look, 'unicode'>): string {
  return unicode ? '·' : '?';
}

/** A character set that is named and is not UTF-8 has no block characters; one that is not named mostly is UTF-8. */
export function hasUnicode(env: NodeJS.ProcessEnv): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return locale === '' || /utf-?8/i.test(locale);
}
