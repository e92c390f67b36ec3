import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestCase, TestResult } from "@playwright/test/reporter";

/** Only what the bench prints, and why it failed. */
export default class BenchReporter implements Reporter {
  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onStdErr(chunk: string | Buffer): void {
    process.stderr.write(chunk);
  }

  onTestEnd(_: TestCase, result: TestResult): void {
    for (const error of result.errors) this.onError(error);
  }

  onError(error: { stack?: string; message?: string }): void {
    process.stderr.write(`${stripVTControlCharacters(error.stack ?? error.message ?? "")}\n`);
  }

  printsToStdio(): boolean {
    return true;
  }
}
