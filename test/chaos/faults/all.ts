import { clockFaults } from './clock.js';
import { databaseFaults } from './database.js';
import type { FaultKind } from './fault.js';
import { networkFaults } from './network.js';
import { platformFaults } from './platform.js';
import { processFaults } from './process.js';

export const allFaults: readonly FaultKind[] = [
  ...processFaults,
  ...clockFaults,
  ...databaseFaults,
  ...platformFaults,
  ...networkFaults,
];
