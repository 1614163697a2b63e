const re2Specials = /[\\.+*?()|[\]{}^$]/g;

/** Whether the text means itself in a regular expression. */
export function isLiteral(text: string): boolean {
  return text.search(re2Specials) === -1;
}

/**
 * An RE2 filter that matches exactly these metric names. log-cache matches anywhere in a name, so that without the
 * anchors `cpu` would also select `cpu_entitlement`.
 */
export function nameFilter(names: readonly string[]): string {
  return `^(${names.map((name) => name.replace(re2Specials, '\\$&')).join('|')})$`;
}
