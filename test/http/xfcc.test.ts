import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { createXfccCheck } from '../../src/http/xfcc-guard.js';
import { checkXfcc, type XfccRules } from '../../src/http/xfcc.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';

const anyTime = Date.now();
const hour = 3_600_000;
const openRules: XfccRules = { validOrgGuid: 'org-1', validSpaceGuid: '', issuers: null };
const units = ['organization:org-1', 'space:space-1', 'app:app-1'];

let root: CertificateAuthority;
let intermediate: CertificateAuthority;
let caller: string;

function header(pem: string): string {
  return new X509Certificate(pem).raw.toString('base64');
}

async function issue(organizationalUnits: readonly string[], authority = intermediate): Promise<string> {
  return (await authority.issue({ commonName: 'guid', organizationalUnits })).cert;
}

beforeAll(async () => {
  root = await createCertificateAuthority('root');
  intermediate = await root.intermediate('instance identity');
  caller = await issue(units);
});

describe('a header as gorouter sets it', () => {
  test('is accepted for the org, whatever the order of the OUs', async () => {
    for (const organizationalUnits of [units, [...units].reverse(), ['organization:org-1']]) {
      expect(checkXfcc([header(await issue(organizationalUnits))], openRules, anyTime)).toMatchObject({
        accepted: true,
      });
    }
  });

  test('is accepted in double quotes, as in Go', () => {
    expect(checkXfcc([`"${header(caller)}"`], openRules, anyTime).accepted).toBe(true);
  });

  test.each([
    ['another org', { ...openRules, validOrgGuid: 'org-2' }, 'wrong-org'],
    ['an org that only begins like it', { ...openRules, validOrgGuid: 'org' }, 'wrong-org'],
    ['another space', { ...openRules, validSpaceGuid: 'space-2' }, 'wrong-space'],
    ['no org configured', { ...openRules, validOrgGuid: '' }, 'no-org-configured'],
  ] as const)('is refused: %s', (_name, rules, rejection) => {
    expect(checkXfcc([header(caller)], rules, anyTime)).toEqual({ accepted: false, rejection });
  });

  test('the space counts only where one is configured', () => {
    expect(checkXfcc([header(caller)], { ...openRules, validSpaceGuid: 'space-1' }, anyTime).accepted).toBe(
      true,
    );
  });

  test('values that imitate an OU are not one', async () => {
    for (const imitation of [
      ['space:x + OU=organization:org-1'],
      ['space:x\nOU=organization:org-1'],
      ['organization:org-1 '],
      ['xorganization:org-1'],
      ['app:organization:org-1'],
    ]) {
      expect(checkXfcc([header(await issue(imitation))], openRules, anyTime)).toMatchObject({
        rejection: 'wrong-org',
      });
    }
    const { cert } = await root.issue({ commonName: 'organization:org-1' });
    expect(checkXfcc([header(cert)], openRules, anyTime)).toMatchObject({ rejection: 'wrong-org' });
  });
});

describe('garbage', () => {
  test.each<[string, () => string[], string]>([
    ['no header', () => [], 'missing'],
    ['two headers', () => [header(caller), header(caller)], 'several-headers'],
    ['two headers joined by a comma', () => [`${header(caller)},${header(caller)}`], 'not-base64'],
    ['empty', () => [''], 'not-base64'],
    ['only quotes', () => ['""'], 'not-base64'],
    ['one quote', () => ['"'], 'not-base64'],
    ['too long', () => ['A'.repeat(8193)], 'too-long'],
    ['just not too long', () => ['A'.repeat(8192)], 'not-a-certificate'],
    ['not base64', () => ['Hello, world'], 'not-base64'],
    [
      'base64url',
      () => [Buffer.from(new X509Certificate(caller).raw).toString('base64url') + '-_'],
      'not-base64',
    ],
    ['PEM', () => [caller.replaceAll('\n', '')], 'not-base64'],
    ['URL-encoded PEM', () => [encodeURIComponent(caller)], 'not-base64'],
    ['the form of Envoy', () => [`Hash=abc;Cert="${encodeURIComponent(caller)}"`], 'not-base64'],
    ['not a certificate', () => [Buffer.from('Hello').toString('base64')], 'not-a-certificate'],
    ['base64 of PEM', () => [Buffer.from(caller).toString('base64')], 'not-a-certificate'],
    ['cut off', () => [header(caller).slice(0, 400)], 'not-a-certificate'],
    [
      'with something behind it',
      () => [Buffer.concat([new X509Certificate(caller).raw, Buffer.from('x')]).toString('base64')],
      'not-a-certificate',
    ],
  ])('%s is refused', (_name, values, rejection) => {
    expect(checkXfcc(values(), openRules, anyTime)).toEqual({ accepted: false, rejection });
  });
});

describe('with a CA configured', () => {
  const rules = (...pems: string[]): XfccRules => ({
    ...openRules,
    issuers: pems.map((pem) => new X509Certificate(pem)),
  });

  test('who was issued by one of its certificates is accepted', () => {
    expect(checkXfcc([header(caller)], rules(root.cert, intermediate.cert), anyTime).accepted).toBe(true);
  });

  test('who was not is refused, also with the same names', async () => {
    const impostor = await (await createCertificateAuthority('root')).intermediate('instance identity');
    const forged = header(await issue(units, impostor));
    expect(checkXfcc([forged], rules(intermediate.cert), anyTime)).toMatchObject({
      rejection: 'unknown-issuer',
    });
    expect(checkXfcc([header(caller)], rules(root.cert), anyTime)).toMatchObject({
      rejection: 'unknown-issuer',
    });
  });

  test('a certificate is valid in its time only', () => {
    const bundle = rules(intermediate.cert);
    expect(checkXfcc([header(caller)], bundle, anyTime + 25 * hour)).toMatchObject({ accepted: false });
    expect(checkXfcc([header(caller)], bundle, anyTime - 2 * hour)).toMatchObject({ accepted: false });
    expect(checkXfcc([header(caller)], openRules, anyTime + 25 * hour).accepted).toBe(true);
  });

  test('expired leaf of a valid issuer', async () => {
    const { cert } = await root.issue({
      commonName: 'guid',
      organizationalUnits: units,
      notAfter: new Date(anyTime - 1000),
    });
    expect(checkXfcc([header(cert)], rules(root.cert), anyTime)).toMatchObject({
      rejection: 'not-valid-now',
    });
  });

  test('an issuer that is no CA does not count, though the signature is right', async () => {
    const notCa = await root.intermediate('instance identity', { isCa: false });
    const signed = header(await issue(units, notCa));
    expect(checkXfcc([signed], rules(root.cert, notCa.cert), anyTime)).toMatchObject({
      rejection: 'unknown-issuer',
    });
    const ca = await root.intermediate('instance identity');
    expect(checkXfcc([header(await issue(units, ca))], rules(ca.cert), anyTime).accepted).toBe(true);
  });
});

describe('remembered headers', () => {
  test('are forgotten when their certificate expires', () => {
    const clock = new ManualClock(anyTime);
    const rules = { ...openRules, issuers: [new X509Certificate(intermediate.cert)] };
    const check = createXfccCheck(rules, clock);
    expect(check([header(caller)]).accepted).toBe(true);
    expect(check([header(caller)]).accepted).toBe(true);
    expect(check([header(caller), header(caller)]).accepted).toBe(false);
    clock.jumpWallClock(25 * hour);
    expect(check([header(caller)]).accepted).toBe(false);
    clock.jumpWallClock(-25 * hour);
    expect(check([header(caller)]).accepted).toBe(true);
  });

  test('are a bounded number; one that was forgotten is checked again', () => {
    let checks = 0;
    const rules = {
      ...openRules,
      get validSpaceGuid() {
        checks++;
        return 'space-1';
      },
    };
    const check = createXfccCheck(rules, new ManualClock());
    // Spaces spell one header in many ways.
    const isCheckedAgain = (spelling: number) => {
      const before = checks;
      expect(check([`${' '.repeat(spelling)}${header(caller)}`]).accepted).toBe(true);
      return checks > before;
    };
    for (let i = 0; i < 101; i++) expect(isCheckedAgain(i)).toBe(true);
    expect([100, 1, 0].map(isCheckedAgain)).toEqual([false, false, true]);
  });
});
