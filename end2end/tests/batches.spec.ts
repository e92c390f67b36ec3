// One order to many hosts.

import { expect, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import type { Host } from "../support/lab.ts";
import { settle, telemetry } from "../support/settle.ts";

const CHOSEN: Host[] = ["web-01", "web-02"];

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02", "db-01");
});

test("selected hosts are isolated by one order, seen to its end, and released by its undo", async ({ page }) => {
  test.setTimeout(90_000);
  const ui = new Console(page);
  const isolated = async (host: Host): Promise<boolean | null> => (await telemetry(page, host)).isolated;
  await page.goto("/");
  await expect(page.getByRole("button", { name: "Isolate selected" })).toBeDisabled();
  await ui.selectAnd("Isolate", CHOSEN);
  await expect(ui.dialog).toContainText("web-01, web-02");
  await ui.dialog.getByLabel("Reason").fill("the same beacon on both");
  await ui.dialog.getByRole("button", { name: "Isolate 2 hosts" }).click();

  await expect(page.getByRole("heading", { name: "Isolate 2 hosts", level: 1 })).toBeVisible();
  await expect(ui.progress).toContainText("All 2 finished");
  await expect(ui.progress).toContainText(/2\s*Executed/);
  const rows = page.getByRole("table", { name: "Commands" }).getByRole("row");
  await expect(rows).toHaveCount(3);
  for (const host of CHOSEN) {
    await expect(rows.filter({ hasText: host })).toContainText("Executed");
    await expect.poll(() => isolated(host), { timeout: 30_000 }).toBe(true);
  }
  expect(await isolated("db-01"), "a host that was not selected").toBe(false);
  await screenshot(page, "batch");

  await ui.progress.getByRole("button", { name: "Undo…" }).click();
  await ui.dialog.getByLabel("Reason").fill("it was the backup");
  await ui.dialog.getByRole("button", { name: "Release its hosts" }).click();
  await expect(page.getByRole("heading", { name: "Release 2 hosts", level: 1 })).toBeVisible();
  await expect(ui.progress).toContainText("All 2 finished");
  for (const host of CHOSEN) await expect.poll(() => isolated(host), { timeout: 30_000 }).toBe(false);

  await page.getByRole("link", { name: "Batches", exact: true }).first().click();
  const batches = page.getByRole("table", { name: "Batches" }).getByRole("row");
  await expect(batches.nth(1)).toContainText("Release 2 hosts");
  await expect(batches.nth(1)).toContainText("undoes another");
  await expect(batches.nth(2)).toContainText("the same beacon on both");
});

test("the rest of a batch is cancelled", async ({ page, lab }) => {
  const ui = new Console(page);
  lab.stopAgent("web-02");
  await page.goto("/");
  await expect(ui.row("web-02")).toContainText("Offline");
  await ui.selectAnd("Check", CHOSEN);
  await expect(ui.dialog).toContainText("1 host is offline.");
  await ui.dialog.getByLabel("Reason").fill("one of them is away");
  await ui.dialog.getByRole("button", { name: "Check 2 hosts" }).click();
  await expect(ui.progress).toContainText("1 of 2 finished");
  await ui.progress.getByRole("button", { name: "Cancel the rest" }).click();
  await expect(ui.progress).toContainText("All 2 finished");
  await expect(ui.progress).toContainText(/1\s*Cancelled/);
  await expect(ui.progress.getByRole("button", { name: "Cancel the rest" })).toBeHidden();
});
