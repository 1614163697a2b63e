import { createRequire } from 'node:module';
import type { default as JestRunner } from 'jest-runner';

// Its types describe the CommonJS module, in which the class is a property.
const { default: Runner } = createRequire(import.meta.url)('jest-runner') as {
  default: typeof JestRunner.default;
};

type RunTests = InstanceType<typeof Runner>['runTests'];
type File = Parameters<RunTests>[0][number];

/**
 * Runs a file once more whose process was ended by a segmentation fault. JavaScript cannot cause one, but modules in
 * contexts of node:vm, which Jest uses, do now and then on Node.js 20.
 */
export default class RunsCrashedFilesAgain extends Runner {
  readonly #crashed: File[] = [];
  #isSecondTry = false;

  override on: InstanceType<typeof Runner>['on'] = (name, listener) =>
    super.on(name, (event) => {
      if (name !== 'test-file-failure' || this.#isSecondTry) return listener(event);
      const [file, error] = event as [File, Error];
      if (!/signal=SIGSEGV/.test(error.message)) return listener(event);
      this.#crashed.push(file);
    });

  override async runTests(...[files, ...rest]: Parameters<RunTests>): Promise<void> {
    await super.runTests(files, ...rest);
    if (this.#crashed.length === 0) return;
    this.#isSecondTry = true;
    const paths = this.#crashed.map(({ path }) => path);
    process.stderr.write(`Node.js crashed (SIGSEGV) in ${paths.join(', ')}: run again\n`);
    await super.runTests(this.#crashed, ...rest);
  }
}
