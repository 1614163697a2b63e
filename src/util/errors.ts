import { fieldOf } from './field.js';

// Errors of Node's own modules may come from another realm, where `instanceof Error` does not hold.

/** The code of a system, OpenSSL or PostgreSQL error; empty where there is none. */
export function errorCode(error: unknown): string {
  const code = fieldOf(error, 'code');
  return typeof code === 'string' ? code : '';
}

/** What an error says: its message, else those of the errors that it aggregates, else its code. */
export function errorText(error: unknown): string {
  const message = fieldOf(error, 'message');
  if (typeof message === 'string' && message !== '') return message;
  const inner = fieldOf(error, 'errors');
  // A connect over several addresses fails with an AggregateError whose own message is empty.
  if (Array.isArray(inner) && inner.length > 0) return inner.map(errorText).join(', ');
  if (typeof error === 'object' && error !== null) return errorCode(error) || 'unknown error';
  return String(error);
}
