import {
  faultTargets,
  operations,
  serverNames,
  simpleFaults,
  type Fault,
  type FaultRule,
  type Operation,
  type ServerName,
} from './faults.js';

/** A request to the control server that makes no sense; the message says what would. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

/** The rule in a JSON text such as `{"server":"logCache","operation":"read","app":"…","times":3,"fault":{"kind":"hang"}}`. */
export function parseFaultRule(text: string): FaultRule {
  const rule = objectIn(parseJson(text), 'the body');
  const { operation, app, times } = rule;
  if (app !== undefined && typeof app !== 'string') throw new BadRequest('app must be a string');
  if (times !== undefined && !isNatural(times)) throw new BadRequest('times must be a whole number above 0');
  return {
    server: nameIn(faultTargets, rule['server']),
    ...(operation === undefined ? {} : { operation: operationIn(operation) }),
    ...(app === undefined ? {} : { app }),
    ...(times === undefined ? {} : { times }),
    fault: faultIn(objectIn(rule['fault'], 'fault')),
  };
}

export function serverNameIn(value: unknown): ServerName {
  return nameIn(serverNames, value);
}

function nameIn<T extends string>(names: readonly T[], value: unknown): T {
  const name = names.find((candidate) => candidate === value);
  if (!name) throw new BadRequest(`server must be one of ${names.join(', ')}`);
  return name;
}

function operationIn(value: unknown): Operation {
  const operation = operations.find((candidate) => candidate === value);
  if (!operation) throw new BadRequest(`operation must be one of ${operations.join(', ')}`);
  return operation;
}

function faultIn(fault: Readonly<Record<string, unknown>>): Fault {
  const { kind, ms, status, body } = fault;
  if (kind === 'delay') {
    if (!isNatural(ms)) throw new BadRequest('a delay needs ms, a whole number above 0');
    return { kind, ms };
  }
  if (kind === 'status') {
    if (!isNatural(status) || status < 200 || status > 599) {
      throw new BadRequest('a status fault needs status, a number from 200 to 599');
    }
    if (body !== undefined && typeof body !== 'string') throw new BadRequest('body must be a string');
    return { kind, status, ...(body === undefined ? {} : { body }) };
  }
  const simple = simpleFaults.find((candidate) => candidate === kind);
  if (!simple) {
    throw new BadRequest(`fault.kind must be one of delay, status, ${simpleFaults.join(', ')}`);
  }
  return { kind: simple };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadRequest('the body must be JSON');
  }
}

function objectIn(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadRequest(`${what} must be a JSON object`);
  }
  return value as Record<string, unknown>;
}

function isNatural(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0;
}
