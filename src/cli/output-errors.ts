import { errorCode, errorText } from '../util/errors.js';

/** Ends a command whose output cannot be written. A reader that has seen enough (`| head`) is no error. */
export function endOnOutputErrors(): void {
  process.stdout.once('error', (error) => {
    if (errorCode(error) === 'EPIPE') process.exit(0);
    process.stderr.write(`failed to write the output: ${errorText(error)}\n`);
    process.exit(1);
  });
  process.stderr.on('error', () => {}); // There is no other place to report it.
}
