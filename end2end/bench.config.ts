import config from "./playwright.config.ts";

export default {
  ...config,
  testDir: "bench",
  testMatch: "*.bench.ts",
  outputDir: "../target/bench-log",
  timeout: 20 * 60_000,
  reporter: [["./bench/reporter.ts"]],
  projects: [{ name: "bench" }],
  use: { ...config.use, trace: "off" as const },
};
