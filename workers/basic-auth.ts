import { compareSync } from 'bcryptjs';
import type { BcryptJob } from '../src/http/bcrypt-pool.js';

/** Whether every text belongs to its hash. All are compared, so that the time does not tell which one was wrong. */
export function compareAll(job: BcryptJob): boolean {
  return job.map(({ text, hash }) => compareSync(text, hash)).every(Boolean);
}
