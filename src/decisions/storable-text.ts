import { redactText } from '../observability/redact-text.js';

const maxLength = 200;

/** As a row can hold it and pages may show it: what others said may have secrets, any characters and any length. */
export function storableText(text: string): string {
  return Buffer.from(redactText(text).slice(0, maxLength).replaceAll('\0', '')).toString();
}
