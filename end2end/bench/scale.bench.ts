// A day's work on a fleet of 50,000: found, turned over, and ordered about, all by the page. The hosts enrol as real ones do
// (voltaxe-load) and are away, so that an order to many stays under way until it is cancelled.

import fs from "node:fs";
import path from "node:path";
import type { Page } from "@playwright/test";
import { Console } from "../support/console.ts";
import { expect, test } from "../support/fixtures.ts";
import { ROOT } from "../support/lab.ts";
import { populate } from "./fleet.ts";

const AGENTS = Number(process.env.BENCH_FLEET ?? 50_000);
/** What the names of at most 10,000 begin with. */
const SOME = AGENTS >= 20_000 ? "sim1-1" : "sim1-01";
const PATIENCE = { timeout: 60_000 };

const took: [string, number][] = [];

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  await work();
  took.push([what, performance.now() - began]);
}

test("50,000 endpoints", async ({ page, lab }) => {
  populate(lab, AGENTS);
  const ui = new Console(page);
  await ui.signIn();
  const rows = page.getByRole("table", { name: "Endpoints" }).getByRole("rowheader");
  const count = page.getByRole("search").locator("..").getByRole("status");
  await timed("the list, from its address to its rows", async () => {
    await page.goto("/");
    await expect(rows).toHaveCount(100, PATIENCE);
  });
  await expect(count).toHaveText(`${AGENTS} endpoints`, PATIENCE);
  const first = await rows.first().innerText();

  await timed("the next page", async () => {
    await page.getByRole("link", { name: "Next page" }).click();
    await expect(rows.first()).not.toHaveText(first, PATIENCE);
  });
  const onSecond = await rows.first().innerText();
  await page.reload();
  await expect(rows.first(), "the address keeps the place").toHaveText(onSecond, PATIENCE);
  await page.getByRole("link", { name: "Previous page" }).click();
  await expect(rows.first()).toHaveText(first, PATIENCE);

  await timed("sorted by load", async () => {
    const answered = page.waitForResponse((response) => response.url().includes("/rpc/"));
    await page.getByRole("link", { name: "Load", exact: true }).click();
    await answered;
    await expect(page.getByRole("columnheader", { name: "Load" })).toHaveAttribute("aria-sort", /ending$/, PATIENCE);
    await expect(rows).toHaveCount(100, PATIENCE);
  });
  await page.goto("/");
  await expect(rows).toHaveCount(100, PATIENCE);

  const wanted = await somewhere(page);
  await timed("found by its name, from the first key on", async () => {
    await page.getByRole("searchbox", { name: "Filter endpoints" }).fill(wanted);
    await expect(rows).toHaveText([wanted], PATIENCE);
  });
  await page.goto("/?status=offline");
  await expect(count).toHaveText(new RegExp(`of ${AGENTS} endpoints`), PATIENCE);

  await order(page, ui);
  report();
});

/** The name of a host that is on no first page. */
async function somewhere(page: Page): Promise<string> {
  const answer = await page.request.get("/api/endpoints?sort=-host&limit=1");
  return ((await answer.json()) as { endpoints: { hostname: string }[] }).endpoints[0].hostname;
}

/** One order to thousands: all whose names begin alike, two left out, sent with a typed count, and cancelled. */
async function order(page: Page, ui: Console): Promise<void> {
  await page.goto(`/?q=${SOME}`);
  const rows = page.getByRole("table", { name: "Endpoints" }).getByRole("rowheader");
  await expect(rows).toHaveCount(100, PATIENCE);
  const [one, other] = await rows.allInnerTexts();
  await page.getByRole("checkbox", { name: "Select all shown" }).check();
  const all = page.getByRole("button", { name: /^Select all \d+ matching$/ });
  const chosen = Number((await all.innerText()).match(/\d+/)![0]);
  await all.click();
  await page.getByRole("button", { name: `Check selected (${chosen})` }).click();
  for (const host of [one, other]) {
    await ui.dialog.getByLabel("Take a host out").fill(host);
    await ui.dialog.getByRole("button", { name: "Take out" }).click();
    await ui.dialog.getByLabel(`Why ${host} is taken out`).fill("it is being repaired");
  }
  const sent = chosen - 2;
  await ui.dialog.getByLabel("Reason").fill("are they all there?");
  await ui.dialog.getByLabel("Number of hosts, to confirm").fill(String(sent));
  await timed(`an order to ${sent}, until its batch is shown`, async () => {
    await ui.dialog.getByRole("button", { name: `Check ${sent} hosts` }).click();
    await expect(page.getByRole("heading", { name: `Check ${sent} hosts`, level: 1 })).toBeVisible(PATIENCE);
  });
  await expect(ui.progress).toContainText(new RegExp(`${sent}\\s*Pending`), PATIENCE);
  await timed("all of it cancelled", async () => {
    await ui.progress.getByRole("button", { name: "Cancel the rest" }).click();
    await expect(ui.progress).toContainText(`All ${sent} finished`, PATIENCE);
  });
}

function report(): void {
  const lines = [`${`milliseconds, ${AGENTS} endpoints`.padEnd(56)}${"once".padStart(8)}`];
  lines.push(...took.map(([what, ms]) => `${what.padEnd(56)}${ms.toFixed(0).padStart(8)}`));
  process.stdout.write(`\n${lines.join("\n")}\n\n`);
  fs.writeFileSync(path.join(ROOT, "target/bench-scale.json"), JSON.stringify(Object.fromEntries(took), null, 2));
}
