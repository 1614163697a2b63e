/**
 * Logs as Cloud Foundry's Go components do: one JSON object a line, with the name of an event and its data. Info is for
 * changes of state. What can repeat goes through `RepeatedEvents`.
 */
export interface Logger {
  debug(event: string, data?: LogData): void;
  info(event: string, data?: LogData): void;
  /** `error`'s message and code are added to data as `error`; its stack is logged at debug level only. */
  error(event: string, error: unknown, data?: LogData): void;
  /** Logs as `<component>.<event>`. */
  child(component: string): Logger;
}

export type LogData = Readonly<Record<string, unknown>>;
