import { errorCode, errorText } from '../util/errors.js';
import { readFileSync } from 'node:fs';
import { endsWithin, systemClock } from '../util/clock.js';
import { parseCommandLine, type Command } from './command-line.js';
import { UsageError } from './usage-error.js';
import type { ProcessContext } from '../observability/process-context.js';
import { loadConfig } from '../config/load-config.js';
import type { LoadedConfig, Mode } from '../config/config.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import { createMetrics } from '../observability/metrics.js';
import type { Logger } from '../observability/logger.js';
import { observersLogger } from '../observability/observers-logger.js';
import { createLogger } from '../observability/pino-logger.js';
import { collectProcessMetrics } from '../observability/process-metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';

/** Stopping must not take longer: Cloud Foundry kills after ten seconds. */
const stopDeadlineMs = 7_000;
/** For the last log lines: a reader that is stuck must not keep the process alive. */
const logsDeadlineMs = 900;

/** Loads the given command only: loading all takes a quarter of a second, and memory for as long as the process runs. */
async function main(args: readonly string[]): Promise<number> {
  const command = parseCommandLine(args);
  const config = (file: string | undefined) => load(file).config;
  // A process that runs goes on where nobody reads its log.
  if (command.name !== 'run') endOnOutputErrors();
  switch (command.name) {
    case 'help':
      process.stdout.write(command.text);
      return 0;
    case 'version':
      process.stdout.write(`${version()}\n`);
      return 0;
    case 'migrate': {
      const { migrateCommand } = await import('./migrate-command.js');
      return migrateCommand(config(command.configFile), systemTrust(), command);
    }
    case 'members': {
      const { membersCommand } = await import('./members-command.js');
      return membersCommand(config(command.configFile), systemTrust(), command.json);
    }
    case 'explain': {
      const { explainCommand } = await import('./explain-command.js');
      return explainCommand(config(command.configFile), systemTrust(), command);
    }
    case 'decisions': {
      const { decisionsCommand } = await import('./decisions-command.js');
      return decisionsCommand(config(command.configFile), systemTrust(), command);
    }
    case 'lint':
      return lint(command);
    case 'backtest': {
      const { backtestCommand } = await import('./backtest-command.js');
      return backtestCommand(config(command.configFile), systemTrust(), command);
    }
    case 'compare': {
      const { compareCommand } = await import('./compare-command.js');
      return compareCommand(config(command.configFile), systemTrust(), command);
    }
    case 'read-log': {
      const { readLogCommand } = await import('./read-log-command.js');
      return readLogCommand();
    }
    case 'run':
      return run(load(command.configFile));
  }
}

/** Ends a command whose output cannot be written. A reader that has seen enough (`| head`) is no error. */
function endOnOutputErrors(): void {
  process.stdout.once('error', (error) => {
    if (errorCode(error) === 'EPIPE') process.exit(0);
    process.stderr.write(`failed to write the output: ${errorText(error)}\n`);
    process.exit(1);
  });
  process.stderr.on('error', () => {}); // There is no other place to report it.
}

async function lint({ configFile, file }: Extract<Command, { name: 'lint' }>): Promise<number> {
  const { lintAllCommand, lintFileCommand, usualSettings } = await import('./lint-command.js');
  // A file can be looked at where nothing is installed.
  const hasConfig = configFile !== undefined || process.env['VCAP_APPLICATION'] !== undefined;
  if (file !== null && !hasConfig) return lintFileCommand(file, usualSettings);
  const { config } = load(configFile);
  const settings = evaluationSettings(config);
  return file === null ? lintAllCommand(config, systemTrust(), settings) : lintFileCommand(file, settings);
}

function load(file: string | undefined): LoadedConfig {
  return loadConfig({ file, env: process.env });
}

/** Runs until a signal, and ends the process. */
async function run({ config, warnings }: LoadedConfig): Promise<never> {
  const { mode } = config.evaluator;
  const log = createLogger({ level: config.logging.level });
  const logger = mode === 'observe' ? observersLogger(log) : log;
  const context = systemContext(log, mode);
  const exit = async (code: number): Promise<never> => {
    await endsWithin(systemClock, logsDeadlineMs, log.close());
    // The rest of the log would be written synchronously here, which never ends if it is not read.
    process.removeAllListeners('exit');
    process.exit(code);
  };
  for (const warning of warnings) logger.info('configuration-warning', { warning });
  process.on('uncaughtException', (error) => {
    logger.error('uncaught-exception', error);
    void exit(1);
  });
  const repeated = new RepeatedEvents({ ...context, logger });
  process.on('unhandledRejection', (reason) => repeated.error('unhandled-rejection', reason));

  const stopAsked = new Promise<void>((resolve) => onStopSignal(logger, resolve, (code) => void exit(code)));
  let stopping = false;
  void stopAsked.then(() => {
    stopping = true;
    systemClock.setTimer(stopDeadlineMs, () => {
      logger.error('stop-took-too-long', new Error(`not everything had ended after ${stopDeadlineMs} ms`));
      void exit(0);
    });
  });
  try {
    // Takes a second and 30 MB, which commands need not spend.
    const { startEventgenerator } = await import('../eventgenerator.js');
    const eventgenerator = await startEventgenerator(config, context);
    void eventgenerator.ready.then(() => {
      if (!stopping)
        logger.info('started', { version: version(), mode, addresses: eventgenerator.addresses() });
    });
    const fault = await new Promise<unknown>((resolve) => {
      void stopAsked.then(resolve);
      void eventgenerator.unusable.then(resolve);
    });
    if (fault === undefined) {
      await eventgenerator.stop();
      logger.info('stopped');
      return await exit(0);
    }
    logger.error('start-failed', fault);
    await endsWithin(systemClock, stopDeadlineMs, eventgenerator.stop());
    return await exit(1);
  } catch (error) {
    logger.error('start-failed', error);
    return await exit(1);
  }
}

/** Calls `stop` at the first SIGTERM or SIGINT, and `exit` at the second, for operators who cannot wait. */
function onStopSignal(logger: Logger, stop: () => void, exit: (code: number) => void): void {
  let stopping = false;
  const handler = (signal: NodeJS.Signals) => {
    if (stopping) {
      logger.info('forced', { signal });
      return exit(1);
    }
    stopping = true;
    logger.info('stopping', { signal });
    stop();
  };
  process.on('SIGTERM', handler);
  process.on('SIGINT', handler);
}

function systemContext(logger: Logger, mode: Mode): ProcessContext {
  const metrics = createMetrics();
  metrics.buildInfo.set({ version: version(), mode }, 1);
  collectProcessMetrics(metrics.registry, process.env);
  return { clock: systemClock, logger, metrics, trust: systemTrust() };
}

/** The CA certificates that the platform trusts, in every command. */
function systemTrust(): ProcessContext['trust'] {
  const systemCertPath = process.env['CF_SYSTEM_CERT_PATH'];
  return systemCertPath ? { systemCertPath } : {};
}

function version(): string {
  const packageJson = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(packageJson, 'utf8')) as { version: string }).version;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stdout.write(`${errorText(error)}\n`);
    if (error instanceof UsageError) process.stdout.write('`eventgenerator --help` says how it is used.\n');
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
