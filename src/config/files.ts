import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ConfigError } from './report.js';

/** Bytes. The largest text that is read is Cloud Foundry's file of service bindings, which may have 1 MB. */
const maxTextLength = 1024 * 1024;

/** Reads a text file; more than one character beyond what is allowed is never read, so that a device cannot fill the memory. */
export function readTextFile(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    if (fstatSync(descriptor).isDirectory()) throw new Error('is a directory');
    const buffer = Buffer.alloc(maxTextLength + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** @throws ConfigError that names the file and the system's reason */
export function openConfigFile(path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path);
  } catch (error) {
    throw new ConfigError(`failed to open config file '${path}': ${systemReason(error)}`);
  }
}

/** Node's messages are "ENOENT: no such file or directory, open '<path>'". */
export function systemReason(error: unknown): string {
  const message = String((error as Partial<Error>).message ?? error);
  return message.replace(/^E[A-Z]+: /, '').replace(/, \w+( '.*')?$/s, '');
}
