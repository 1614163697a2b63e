const maxLength = 200;

/** As a row can hold it: what others said may have any characters and any length. */
export function storableText(text: string): string {
  return Buffer.from(text.slice(0, maxLength).replaceAll('\0', '')).toString();
}
