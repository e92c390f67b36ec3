// The list of endpoints: what it shows is in its address, and one order goes to what was chosen in it.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import type { Host } from "../support/lab.ts";
import { settle, telemetry } from "../support/settle.ts";

const ALL: Host[] = ["db-01", "web-01", "web-02"];

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, ...ALL);
  await page.goto("/");
});

test("what is filtered, sorted and shown is in the address and survives a reload and going back", async ({ page }) => {
  const ui = new Console(page);
  const rows = page.getByRole("table", { name: "Endpoints" }).getByRole("rowheader");
  await page.getByLabel("Filter endpoints").fill("web");
  await expect(rows).toHaveText(["web-01", "web-02"]);
  await expect(page).toHaveURL(/\?q=web$/);
  await page.getByRole("columnheader", { name: "Host" }).getByRole("link").click();
  await expect(rows).toHaveText(["web-02", "web-01"]);
  await page.getByText("Columns", { exact: true }).click();
  await page.getByRole("checkbox", { name: "Address" }).uncheck();
  await expect(page.getByRole("columnheader", { name: "Address" })).toBeHidden();

  await page.reload();
  await expect(rows).toHaveText(["web-02", "web-01"]);
  await expect(page.getByLabel("Filter endpoints")).toHaveValue("web");
  await expect(page.getByRole("columnheader", { name: "Address" })).toBeHidden();

  await ui.row("web-02").getByRole("link", { name: "web-02", exact: true }).click();
  await expect(page.getByRole("heading", { name: "web-02", level: 1 })).toBeVisible();
  await page.goBack();
  await expect(rows).toHaveText(["web-02", "web-01"]);
});

test("a filter says how many it would leave, and is taken back by its chip", async ({ page }) => {
  await page.getByText("Filters", { exact: true }).click();
  const status = page.getByRole("region", { name: "Status" });
  await status.getByRole("link", { name: /^Online\s*3$/ }).click();
  await expect(page).toHaveURL(/status=connected/);
  await expect(page.getByRole("status").filter({ hasText: "3 of 3 endpoints" })).toBeVisible();
  await page.getByRole("link", { name: /^Status: Online\s*, remove$/ }).click();
  await expect(page).toHaveURL(/\/$/);

  const strip = page.getByRole("navigation", { name: "Show endpoints by state" });
  await strip.getByRole("link", { name: /Isolated$/ }).click();
  await expect(page.getByText("No endpoint matches.")).toBeVisible();
  await strip.getByRole("link", { name: /All$/ }).click();
  await expect(page.getByRole("table", { name: "Endpoints" }).getByRole("rowheader")).toHaveCount(3);
});

test("a view is saved, opened and deleted", async ({ page }) => {
  await page.getByLabel("Filter endpoints").fill("db");
  await expect(page).toHaveURL(/q=db/);
  await page.getByText("Views", { exact: true }).click();
  await page.getByLabel("Save this list as").fill("Databases");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.goto("/");
  await page.getByText("Views", { exact: true }).click();
  await page.getByRole("link", { name: "Databases" }).click();
  await expect(page).toHaveURL(/q=db/);
  await page.getByRole("button", { name: "Delete Databases" }).click();
  await expect(page.getByText("No view is saved yet.")).toBeVisible();
});

test("a range is ticked with shift, and all that match with one press", async ({ page }) => {
  await page.getByRole("checkbox", { name: "Select db-01" }).click();
  await page.getByRole("checkbox", { name: "Select web-02" }).click({ modifiers: ["Shift"] });
  await expect(page.getByRole("button", { name: "Isolate selected (3)" })).toBeVisible();
  await page.getByRole("button", { name: "Clear the selection" }).click();
  await expect(page.getByRole("button", { name: "Isolate selected", exact: true })).toBeDisabled();

  await page.getByRole("checkbox", { name: "Select web-01" }).check();
  await page.getByLabel("Filter endpoints").fill("db");
  await expect(page).toHaveURL(/q=db/);
  await expect(page.getByRole("button", { name: "Isolate selected (1)" }), "it survives another list").toBeVisible();
});

test("an order to many leaves out who was taken out, and says why", async ({ page }) => {
  test.setTimeout(90_000);
  const ui = new Console(page);
  const isolated = async (host: Host): Promise<boolean | null> => (await telemetry(page, host)).isolated;
  await page.getByRole("checkbox", { name: "Select all shown" }).check();
  await page.getByRole("button", { name: "Isolate selected (3)" }).click();
  await expect(ui.dialog.getByRole("heading", { level: 2 })).toHaveText("Isolate 3 hosts?");
  for (const [host, why] of [["web-02", "serves the hospital"], ["db-01", "is being copied"]] as const) {
    await ui.dialog.getByLabel("Take a host out").fill(host);
    await ui.dialog.getByRole("button", { name: "Take out" }).click();
    await ui.dialog.getByLabel(`Why ${host} is taken out`).fill(why);
  }
  await ui.dialog.getByLabel("Reason").fill("the same beacon everywhere");
  await ui.dialog.getByRole("button", { name: "Isolate 1 host" }).click();

  await expect(page.getByRole("heading", { name: "Isolate 1 host", level: 1 })).toBeVisible();
  const out = page.getByRole("region", { name: "Taken out before it was sent" });
  await expect(out.getByRole("listitem")).toHaveText([/web-02: .*serves the hospital/, /db-01: .*is being copied/]);
  await expect(ui.progress).toContainText("All 1 finished");
  await expect.poll(() => isolated("web-01"), { timeout: 30_000 }).toBe(true);
  expect([await isolated("web-02"), await isolated("db-01")]).toEqual([false, false]);

  const hosts = page.getByRole("group", { name: "Hosts of this batch" });
  await hosts.getByRole("checkbox", { name: "web-01: Executed" }).check();
  await page.getByRole("button", { name: "Release these 1" }).click();
  await ui.dialog.getByLabel("Reason").fill("a false alarm");
  await ui.dialog.getByRole("button", { name: "Release web-01" }).click();
  await expect(page.getByRole("heading", { name: "Release 1 host", level: 1 })).toBeVisible();
  await expect.poll(() => isolated("web-01"), { timeout: 30_000 }).toBe(false);
});
