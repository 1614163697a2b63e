import { expect, test } from '@jest/globals';
import { loadOnCloudFoundry, minimalService, ownOrg, ownSpace, type Json } from './support.js';

const load = (xfcc: Json, application: Json = { organization_id: ownOrg, space_id: ownSpace }) => {
  const { config, warnings } = loadOnCloudFoundry(
    { ...minimalService, cf_server: { xfcc } },
    { VCAP_APPLICATION: JSON.stringify(application) },
  );
  const { validOrgGuid, validSpaceGuid } = config.cfServer.xfcc;
  return { org: validOrgGuid, space: validSpaceGuid, warnings };
};

test.each<Json>([{}, { valid_org_guid: '', valid_space_guid: null }])(
  '%j: the app’s own org and space',
  (xfcc) => {
    expect(load(xfcc)).toEqual({ org: ownOrg, space: ownSpace, warnings: [] });
  },
);

test('another org and space, with a warning each', () => {
  expect(load({ valid_org_guid: 'org-2', valid_space_guid: 'space-2' })).toEqual({
    org: 'org-2',
    space: 'space-2',
    warnings: [
      "cf_server.xfcc.valid_org_guid (org-2) is not this app's own organization (own-org).",
      "cf_server.xfcc.valid_space_guid (space-2) is not this app's own space (own-space).",
    ],
  });
});

test('another org alone leaves the own space, and says so', () => {
  expect(load({ valid_org_guid: 'org-2' })).toMatchObject({
    org: 'org-2',
    space: ownSpace,
    warnings: [
      expect.stringMatching(/valid_space_guid is still this app's own space \(own-space\): configure it too/),
    ],
  });
});

test('no org known: every request is rejected', () => {
  expect(load({}, {})).toEqual({
    org: '',
    space: '',
    warnings: [],
  });
});
