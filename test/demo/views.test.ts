import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoState, plainLook } from './examples.js';
import { createLiveView, createPlainView } from './views.js';

let folder: string;
let fd: number;
let written: string;
const terminal = () => ({ fd, columns: 80, rows: 24, write: (text: string) => (written += text) });
const writtenAtEnd = () => readFileSync(join(folder, 'terminal'), 'utf8');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'demo-view-'));
  fd = openSync(join(folder, 'terminal'), 'w');
  written = '';
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

test('a terminal gets its cursor and its old screen back, once', () => {
  const view = createLiveView(terminal(), plainLook);
  view.show(demoState());
  view.show(demoState());
  expect(written.split('\x1b[?25l')).toHaveLength(2);
  expect(written.split('Eventgenerator demo')).toHaveLength(3);
  view.close();
  view.close();
  expect(writtenAtEnd()).toBe('\x1b[?7h\x1b[?25h\x1b[?1049l');
});

test('a process that exits early gives them back, too', () => {
  const before = process.listeners('exit');
  const view = createLiveView(terminal(), plainLook);
  view.show(demoState());
  const [atExit] = process.listeners('exit').filter((listener) => !before.includes(listener));
  atExit?.(1);
  expect(writtenAtEnd()).toContain('\x1b[?25h');
  expect(process.listeners('exit')).toEqual(before);
});

test('a terminal on which nothing was shown is left alone', () => {
  createLiveView(terminal(), plainLook).close();
  expect(writtenAtEnd()).toBe('');
});

test('plain output has no escape sequences, and only what is new', () => {
  const view = createPlainView(terminal());
  view.show(demoState({ activity: 'Starting' }));
  view.show(demoState({ activity: 'Starting' }));
  view.close();
  expect(written).toBe(' 20.0 s  Starting\n');
});
