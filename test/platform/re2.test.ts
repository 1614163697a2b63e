import { describe, expect, test } from '@jest/globals';
import { compileNameFilter } from './name-filter.js';
import { parsePromql } from './promql/parse.js';
import { compileRe2 } from './re2.js';

describe('regular expressions as log-cache compiles them', () => {
  test.each([
    ['a\\.b', 'a.b', 'axb'],
    ['a\\-b', 'a-b', 'a\\b'],
    ['\\Qa.b\\E+', 'a.bb', 'axb'],
    ['^[[:alpha:]_]+$', 'ab_', 'a1'],
    ['(?i)CPU', 'cpu', 'mem'],
    ['(?P<name>cpu|mem)$', 'mem', 'memory'],
    ['\\Acpu\\z', 'cpu', 'cpus'],
  ])('%s matches %s and not %s', (pattern, match, other) => {
    expect(compileRe2(pattern).test(match)).toBe(true);
    expect(compileRe2(pattern).test(other)).toBe(false);
  });

  test.each(['a"b\\c', '(', 'a**', '(?=a)', '(a)\\1', 'a\\', '[[:nonsense:]]'])(
    '%s is refused',
    (pattern) => {
      expect(() => compileRe2(pattern)).toThrow(SyntaxError);
      expect(() => compileNameFilter(pattern)).toThrow(SyntaxError);
      const quoted = JSON.stringify(`a|${pattern}`);
      expect(() => parsePromql(`http{source_id=~${quoted}}`)).toThrow(/error parsing regexp/);
      expect(parsePromql(`http{source_id=${quoted}}`)).toMatchObject({ type: 'selector' });
    },
  );
});
