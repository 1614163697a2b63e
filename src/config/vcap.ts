import type { Affected, Report } from './report.js';

/*
 * The JSON that Cloud Foundry puts into the environment. Parse errors are not quoted: the parser's messages hold a
 * piece of the text, and the text holds credentials.
 */

export interface BoundService {
  readonly name: string;
  readonly tags: readonly string[];
  readonly credentials: JsonObject;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Ids are empty, and the index null, where the text does not say. */
export function parseVcapApplication(text: string, report: Report) {
  const root = parseObject('VCAP_APPLICATION', text, report) ?? {};
  const index = root['instance_index'];
  return {
    organizationId: textOf(root['organization_id']),
    spaceId: textOf(root['space_id']),
    instanceId: textOf(root['instance_id']),
    instanceIndex: typeof index === 'number' && Number.isSafeInteger(index) && index >= 0 ? index : null,
  };
}

/** null if the text cannot be read; that nothing is bound then is no second error. `source` names it in messages. */
export function parseVcapServices(
  source: string,
  text: string | undefined,
  report: Report,
): BoundService[] | null {
  if (!text) return [];
  const root = parseObject(source, text, report);
  if (!root) return null;
  const services: BoundService[] = [];
  for (const [label, list] of Object.entries(root)) {
    if (!Array.isArray(list) || !list.every(isObject)) {
      report.environment(`${source} is malformed: ${JSON.stringify(label)} is no list of services`, 'all');
      return null;
    }
    services.push(...list.map((service) => boundService(service, label)));
  }
  return services;
}

/** The one service with the tag, in any case; two would make the choice a matter of chance. */
export function serviceWithTag(
  services: readonly BoundService[],
  tag: string,
  report: Report,
): BoundService | null {
  const found = services.filter((service) => service.tags.some((each) => each.toLowerCase() === tag));
  if (found.length > 1) {
    const names = found.map((service) => `'${service.name}'`).join(', ');
    report.environment(
      `${found.length} bound services have the tag '${tag}': ${names}; unbind all but one or change their tags`,
    );
  }
  return found[0] ?? null;
}

/** A reference that the platform should have replaced by the credentials before it started the app. */
export function isUnfilled(service: BoundService, affected: Affected, report: Report): boolean {
  if (service.credentials['credhub-ref'] === undefined) return false;
  report.environment(
    `the service '${service.name}' holds only a 'credhub-ref': the platform did not replace it by the credentials when it started the app; ask its operators whether CredHub answers and the app may read from it, restage the app, or bind a user-provided service`,
    affected,
  );
  return true;
}

/** undefined: not there, null or empty. Only text is accepted, and the wrong type is an error. */
export function textCredential(
  service: BoundService,
  name: string,
  affected: Affected,
  report: Report,
): string | undefined {
  const value = service.credentials[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return value;
  report.environment(`the credential '${name}' of the service '${service.name}' is not a text`, affected);
  return undefined;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(variable: string, text: string, report: Report): JsonObject | undefined {
  try {
    const root: unknown = JSON.parse(text);
    if (isObject(root)) return root;
    report.environment(`${variable} is malformed: it is no JSON object`, 'all');
  } catch {
    report.environment(`${variable} is malformed: it is not valid JSON (${text.length} characters)`, 'all');
  }
  return undefined;
}

function boundService(service: JsonObject, label: string): BoundService {
  const { tags, credentials } = service;
  return {
    name: textOf(service['name']) || textOf(service['instance_name']) || label,
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
    credentials: isObject(credentials) ? credentials : {},
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
