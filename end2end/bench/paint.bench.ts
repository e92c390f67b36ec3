// The list of endpoints on a slow machine: the first content, and when its controls answer.

import fs from "node:fs";
import path from "node:path";
import type { Page } from "@playwright/test";
import { Console } from "../support/console.ts";
import { test } from "../support/fixtures.ts";
import { ROOT } from "../support/lab.ts";
import { populate } from "./fleet.ts";
import { type Spread, spread } from "./statistics.ts";

const AGENTS = 200;
const LOADS = Number(process.env.BENCH_LOADS ?? 20);
const SLOWER = 4;

/** Milliseconds since the navigation began. */
interface Load {
  painted: number;
  /** The page's code runs: what it disables until then is enabled. */
  interactive: number;
}

interface Measured {
  voltaxeInteractive?: number;
}

test("first paint and interactive", async ({ page, lab }) => {
  populate(lab, AGENTS);
  await new Console(page).signIn();
  await page.addInitScript(watch);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const cold = await loads(page);
  await session.send("Network.setCacheDisabled", { cacheDisabled: false });
  await load(page);
  const warm = await loads(page);
  report({
    cold: { painted: spread(cold.map(({ painted }) => painted)), interactive: spread(cold.map(({ interactive }) => interactive)) },
    warm: { painted: spread(warm.map(({ painted }) => painted)), interactive: spread(warm.map(({ interactive }) => interactive)) },
  });
});

/** In the page. */
function watch(): void {
  const look = (): void => {
    if (document.querySelector("button[aria-keyshortcuts]:not([disabled])")) (window as Measured).voltaxeInteractive = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function loads(page: Page): Promise<Load[]> {
  const all: Load[] = [];
  for (let round = 0; round < LOADS; round++) all.push(await load(page));
  return all;
}

async function load(page: Page): Promise<Load> {
  await page.goto("about:blank");
  await page.goto("/");
  await page.waitForFunction(() => (window as Measured).voltaxeInteractive !== undefined);
  return page.evaluate(() => ({
    painted: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    interactive: (window as Measured).voltaxeInteractive!,
  }));
}

type Results = Record<"cold" | "warm", { painted: Spread; interactive: Spread }>;

function report(results: Results): void {
  const line = (what: string, { p50, p99, count }: Spread): string => `${what.padEnd(44)}${p50.toFixed(0).padStart(8)}${p99.toFixed(0).padStart(8)}${String(count).padStart(6)}`;
  const lines = [
    `${`milliseconds, processor ${SLOWER} times slower`.padEnd(44)}${"p50".padStart(8)}${"p99".padStart(8)}${"n".padStart(6)}`,
    line("first visit: first contentful paint", results.cold.painted),
    line("first visit: interactive", results.cold.interactive),
    line("again: first contentful paint", results.warm.painted),
    line("again: interactive", results.warm.interactive),
  ];
  process.stdout.write(`\n${lines.join("\n")}\n`);
  const figures = { at: new Date().toISOString(), slower: SLOWER, endpoints: AGENTS, ...results };
  fs.writeFileSync(path.join(ROOT, "target/bench-paint.json"), `${JSON.stringify(figures, null, 2)}\n`);
}
