import type { StaticPool } from '../config/config.js';
import { fnv1a32 } from '../util/hash.js';
import type { Ownership } from './ownership.js';

/** Shares apps by a number in a file, exactly as the Go eventgenerator does, so that both can run in one fleet. */
export function createStaticOwnership({ totalInstances, instanceIndex }: StaticPool): Ownership {
  return {
    owns: (appId) => fnv1a32(appId) % totalInstances === instanceIndex,
    ownedSinceMs: () => null,
    isUp: () => true,
    onChange: () => {},
  };
}
