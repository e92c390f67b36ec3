// A thousand changes a second on the live stream of the list, and how long they keep the page from answering.

import fs from "node:fs";
import path from "node:path";
import type { Page } from "@playwright/test";
import { Console } from "../support/console.ts";
import { expect, test } from "../support/fixtures.ts";
import { ROOT } from "../support/lab.ts";
import { populate, Reporting } from "./fleet.ts";
import { spread } from "./statistics.ts";

const AGENTS = 1_000;
const SECONDS = Number(process.env.BENCH_STREAM_SECONDS ?? 10);
/** The promise. */
const ALLOWED_MS = 50;

interface Heard {
  events: number;
  /** Milliseconds of each task of the main thread that took more than 50. */
  long: number[];
  /** From one look to the next, 5 ms later: what a press would have waited at most. */
  delays: number[];
}

interface Measured {
  voltaxeHeard?: Heard;
}

test("a thousand events a second", async ({ page, lab }) => {
  const fleet = populate(lab, AGENTS);
  await listen(page);
  await new Console(page).signIn();
  const reporting = new Reporting(lab, fleet, SECONDS + 120);
  try {
    // Until all have joined: the load's own beginning is not what is measured.
    await expect.poll(() => eventsInOneSecond(page), { timeout: 90_000 }).toBeGreaterThan(AGENTS * 0.8);
    await page.evaluate(() => Object.assign((window as Measured).voltaxeHeard!, { events: 0, long: [], delays: [] }));
    await page.waitForTimeout(SECONDS * 1_000);
    report(await page.evaluate(() => (window as Measured).voltaxeHeard!));
  } finally {
    await reporting.stop();
  }
});

async function listen(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const heard: Heard = { events: 0, long: [], delays: [] };
    (window as Measured).voltaxeHeard = heard;
    window.EventSource = class extends EventSource {
      constructor(url: string | URL, options?: EventSourceInit) {
        super(url, options);
        this.addEventListener("endpoint", () => heard.events++);
      }
    };
    new PerformanceObserver((list) => heard.long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    let before = performance.now();
    setInterval(() => {
      const now = performance.now();
      heard.delays.push(now - before);
      before = now;
    }, 5);
  });
}

async function eventsInOneSecond(page: Page): Promise<number> {
  const count = (): Promise<number> => page.evaluate(() => (window as Measured).voltaxeHeard!.events);
  const before = await count();
  await page.waitForTimeout(1_000);
  return (await count()) - before;
}

function report({ events, long, delays }: Heard): void {
  const longest = Math.max(0, ...long);
  const { p50, p99 } = spread(delays);
  const rate = events / SECONDS;
  const lines = [
    `events on the stream           ${rate.toFixed(0)} a second for ${SECONDS} s`,
    `tasks over ${ALLOWED_MS} ms              ${long.length}${long.length ? `, the longest ${longest.toFixed(0)} ms` : ""}`,
    `between two looks, 5 ms apart  p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, at most ${Math.max(...delays).toFixed(1)} ms`,
  ];
  const kept = longest <= ALLOWED_MS && rate >= AGENTS * 0.8;
  const verdict = `the main thread is busy for at most ${ALLOWED_MS} ms at 1,000 events a second: ${kept ? "kept" : "NOT kept"}`;
  process.stdout.write(`\n${lines.join("\n")}\n\n${verdict}\n`);
  const figures = { at: new Date().toISOString(), rate, tasks_over_50_ms: long.length, longest_ms: longest, p50, p99, allowed: ALLOWED_MS };
  fs.writeFileSync(path.join(ROOT, "target/bench-stream.json"), `${JSON.stringify(figures, null, 2)}\n`);
}
