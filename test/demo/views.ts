import { writeSync } from 'node:fs';
import type { DemoState } from './app-state.js';
import { renderScreen } from './live-screen.js';
import type { Look } from './look.js';
import { plainLines } from './plain-lines.js';

export interface View {
  show(state: DemoState): void;
  /** For how long the end should be looked at before everything is stopped, ms. */
  readonly lingerMs: number;
  /** Leaves the terminal as it was. Idempotent. */
  close(): void;
}

export interface Output {
  readonly fd: number;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** The alternate screen, without cursor and without lines that wrap. What was there before comes back afterwards. */
const enterScreen = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const leaveScreen = '\x1b[?7h\x1b[?25h\x1b[?1049l';

/** Paints the terminal anew with every state, so that whatever else appears on it goes away by itself. */
export function createLiveView(output: Output, look: Look): View {
  let open = false;
  const close = () => {
    if (!open) return;
    open = false;
    process.off('exit', close);
    try {
      // Not through the stream: this must also work while the process exits.
      writeSync(output.fd, leaveScreen);
    } catch {
      // The terminal is gone.
    }
  };
  return {
    lingerMs: 3000,
    show(state) {
      const size = { columns: output.columns || 80, rows: output.rows || 24 };
      const lines = renderScreen(state, size, look);
      const painted = `\x1b[H${lines.map((line) => `\x1b[2K${line}`).join('\r\n')}\x1b[J`;
      if (!open) process.once('exit', close);
      output.write(open ? painted : enterScreen + painted);
      open = true;
    },
    close,
  };
}

export function createPlainView(output: Pick<Output, 'write'>): View {
  let before: DemoState | undefined;
  return {
    lingerMs: 0,
    show(state) {
      for (const line of plainLines(before, state)) output.write(line + '\n');
      before = state;
    },
    close: () => {},
  };
}

export const silentView: View = { lingerMs: 0, show: () => {}, close: () => {} };
