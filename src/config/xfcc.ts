import type { CloudFoundry } from './cloud-foundry.js';
import type { XfccConfig } from './config.js';
import type { ConfigValues } from './keys.js';
import type { Report } from './report.js';
import { fileSource } from './tls-files.js';

const section = 'cf_server.xfcc';

/**
 * Who may call the API behind XFCC: the apps of this app's own organization and space, unless configured. The space
 * stays this app's own where only another organization is configured: to reject too much is the safe error.
 */
export function resolveXfcc(
  values: ConfigValues['cf_server']['xfcc'],
  platform: CloudFoundry | null,
  report: Report,
): XfccConfig {
  const ownOrg = platform?.organizationId ?? '';
  const ownSpace = platform?.spaceId ?? '';
  const validOrgGuid = values.valid_org_guid || ownOrg;
  const validSpaceGuid = values.valid_space_guid || ownSpace;
  const foreignOrg = ownOrg !== '' && validOrgGuid !== ownOrg;
  const foreignSpace = ownSpace !== '' && validSpaceGuid !== ownSpace;
  if (foreignOrg) {
    const hint =
      ownSpace !== '' && !foreignSpace
        ? ` ${section}.valid_space_guid is still this app's own space (${ownSpace}): configure it too.`
        : '';
    report.warn(
      `${section}.valid_org_guid (${validOrgGuid}) is not this app's own organization (${ownOrg}).${hint}`,
    );
  }
  if (foreignSpace) {
    report.warn(`${section}.valid_space_guid (${validSpaceGuid}) is not this app's own space (${ownSpace}).`);
  }
  return { validOrgGuid, validSpaceGuid, ca: fileSource(values.ca_file) };
}
