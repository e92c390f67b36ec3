// Every page and open dialog by axe's WCAG 2.2 AA rules, in light and dark, wide and narrow. (The pages of an empty
// server are looked at in first-run.spec.ts.)

import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test("sign-in page", async ({ page }) => {
  await page.goto("/login");
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
  await expectAccessible(page, "sign-in page");
});

test("the pages and dialogs of a host, before, during and after isolation", async ({ page, lab }) => {
  test.setTimeout(120_000);
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await page.goto("/");
  await expect(ui.row("web-01")).toContainText("Connected");
  await expectAccessible(page, "list");
  await screenshot(page, "endpoints");
  await page.getByText(/^Filters/).click();
  await expect(page.getByRole("region", { name: "Isolation" }).getByRole("link").first()).toBeVisible();
  await expectAccessible(page, "list with its filters open");
  await screenshot(page, "filters");
  await page.getByText("Columns", { exact: true }).click();
  await expectAccessible(page, "list with its choice of columns open");
  await page.getByText("Columns", { exact: true }).click();
  await page.getByText("Views", { exact: true }).click();
  await expect(page.getByLabel("Save this list as")).toBeVisible();
  await expectAccessible(page, "list with its saved views open");

  await page.goto("/enrol");
  await expectAccessible(page, "enrol page");

  await ui.open("web-01");
  await expectAccessible(page, "endpoint page");
  await ui.orderButton("Isolate").click();
  await expect(ui.dialog).toBeVisible();
  await expectAccessible(page, "isolate dialog");
  await screenshot(page, "isolate-dialog");
  await page.keyboard.press("Escape");

  await ui.isolate("to look at it");
  await ui.expectVerified();
  await expectAccessible(page, "endpoint page of an isolated host");
  await ui.orderButton("Release").click();
  await expect(ui.dialog).toBeVisible();
  await expectAccessible(page, "release dialog");
  await page.keyboard.press("Escape");
  await page.goto("/");
  await expect(ui.row("web-01")).toContainText("Isolated");
  await expectAccessible(page, "list with an isolated host");
});

test("the pages and dialogs of delivery", async ({ page, lab }) => {
  test.setTimeout(180_000);
  await settle(page, lab, "web-01", "web-02");
  const ui = new Console(page);
  await page.goto("/");
  await ui.selectAnd("Isolate", ["web-01", "web-02"]);
  await expectAccessible(page, "dialog for selected hosts");
  await screenshot(page, "batch-dialog");
  await page.keyboard.press("Escape");
  await expectAccessible(page, "list with selected hosts");

  await ui.selectAnd("Check", ["web-01", "web-02"]);
  await ui.dialog.getByLabel("Reason").fill("to look at a batch");
  await ui.dialog.getByRole("button", { name: "Check 2 hosts" }).click();
  await expect(ui.progress).toContainText("All 2 finished");
  await expectAccessible(page, "page of a batch");

  await page.goto("/batches");
  await expect(page.getByRole("table", { name: "Batches" })).toContainText("to look at a batch");
  await expectAccessible(page, "batches");

  await page.goto("/commands");
  await expect(page.getByRole("table", { name: "Commands" })).toContainText("to look at a batch");
  await expectAccessible(page, "commands");
  await screenshot(page, "commands");

  await page.goto("/schedules");
  await page.getByRole("button", { name: "New schedule" }).click();
  await expectAccessible(page, "dialog for a new schedule");
  await ui.dialog.getByLabel("Runs").selectOption("Again and again");
  await expectAccessible(page, "dialog for a new schedule that repeats");
  await ui.dialog.getByLabel("Hosts").fill("web-01\nweb-02\ndb-01");
  await ui.dialog.getByLabel("Cron").fill("30 2 * * 1-5");
  await ui.dialog.getByLabel("Time zone").fill("Europe/Berlin");
  await ui.dialog.getByLabel("Reason").fill("every night of the week");
  await ui.dialog.getByLabel("Command").selectOption("Check");
  await ui.dialog.getByRole("button", { name: "Create schedule" }).click();
  const nightly = page.getByRole("table", { name: "Waiting" }).getByRole("row").filter({ hasText: "every night of the week" });
  await expect(nightly).toContainText("Check db-01, web-01, web-02");
  await expectAccessible(page, "schedules");
  await nightly.getByRole("button", { name: /^Cancel / }).click();
  await expect(nightly).toHaveCount(0);

  await ui.open("web-01");
  await ui.isolate("to look at its end", "8 h");
  await expect(ui.rollback).toContainText(/Releases itself at/);
  await expectAccessible(page, "endpoint page with a release to come");
  await screenshot(page, "auto-release");
  await ui.release();
  await ui.expectConnected();
});

test.describe("not found", () => {
  test.use({ expectedErrors: [/status of 404/] });

  test("a page and an endpoint that do not exist", async ({ page, lab }) => {
    await settle(page, lab, "web-01");
    for (const path of ["/no-such-page", "/endpoints/ep_00000000000000000000000000000000"]) {
      await page.goto(path);
      await expect(page.getByRole("heading", { name: /^There is no such/ })).toBeVisible();
      await expectAccessible(page, path);
    }
  });
});
