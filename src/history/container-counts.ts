/**
 * Metric types of numbers of containers, which observers store where they change: what explains why another fleet found
 * other values. No metric of an app has such a name, because the policy schema allows no colon.
 */
export const containerCounts = {
  /** Instances of the app. */
  web: 'containers:web',
  /** Tasks, staging and other process types. */
  others: 'containers:others',
} as const;
