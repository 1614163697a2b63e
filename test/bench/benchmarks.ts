import { api } from './api.js';
import type { Benchmark } from './benchmark.js';
import { collection } from './collection.js';
import { decisions } from './decisions.js';
import { comparison } from './compare.js';
import { database } from './database.js';
import { elastic } from './elastic/elastic.js';
import { explanations } from './explain.js';
import { foundation } from './foundation.js';
import { largeApp } from './large-app.js';
import { memory } from './memory.js';
import { reaction } from './reaction.js';
import { scale } from './scale.js';
import { slowDatabase } from './slow-database.js';

/** All benchmarks, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  collection,
  scale,
  reaction,
  database,
  decisions,
  explanations,
  comparison,
  memory,
  api,
  largeApp,
  foundation,
  slowDatabase,
  elastic,
];
