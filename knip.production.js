import base from './knip.json' with { type: 'json' };

/** Of what production has, production must use something: a test is no use. Parts of a module may be tested by themselves. */
export default { ...base, ignoreExportsUsedInFile: true };
