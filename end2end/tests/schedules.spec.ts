// Commands at a later time.

import { expect, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

/** As an input of type datetime-local has it; the page takes it as UTC. */
const utc = (ahead: number): string => new Date(Date.now() + ahead * 1000).toISOString().slice(0, 19);

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("a schedule waits, runs when its time has come, and links to what it made", async ({ page }) => {
  const ui = new Console(page);
  await page.goto("/schedules");
  await page.getByRole("button", { name: "New schedule" }).click();
  await ui.dialog.getByLabel("Command").selectOption("Check");
  await ui.dialog.getByLabel("Hosts").fill("web-01");
  await ui.dialog.getByLabel("Reason").fill("checked a little later");
  await ui.dialog.getByLabel("At (UTC)", { exact: true }).fill(utc(6));
  await ui.dialog.getByRole("button", { name: "Create schedule" }).click();
  await expect(ui.dialog).toBeHidden();

  const row = (table: "Waiting" | "Ended") =>
    page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: "checked a little later" });
  await expect(row("Waiting")).toContainText("Check web-01");
  await expect(row("Waiting")).toContainText(/UTC, (in \d+ s|now)/);
  await expect(row("Ended")).toContainText("Done", { timeout: 30_000 });
  await row("Ended").getByRole("link", { name: "Its batch" }).click();
  await expect(page.getByRole("heading", { name: "Check 1 host", level: 1 })).toBeVisible();
  await expect(ui.progress).toContainText("All 1 finished");
});

test("an isolate may be given for later, and is cancelled before it comes", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await ui.dialog.getByLabel("Reason").fill("in the maintenance window");
  await ui.dialog.getByLabel("Not before (UTC)").fill(utc(3_600));
  await ui.submit("Isolate").click();
  await expect(ui.dialog).toBeHidden();
  await expect(page.getByText(/^Scheduled: Isolate web-01, .* UTC\./)).toBeVisible();
  await ui.expectConnected();

  await page.getByRole("link", { name: "Schedules", exact: true }).click();
  const waiting = page.getByRole("table", { name: "Waiting" }).getByRole("row").filter({ hasText: "in the maintenance window" });
  await expect(waiting).toContainText(/UTC, in (59 min|1 h)/);
  await screenshot(page, "schedules");
  await waiting.getByRole("button", { name: "Cancel Isolate web-01" }).click();
  await expect(waiting).toHaveCount(0);
  const ended = page.getByRole("table", { name: "Ended" }).getByRole("row").filter({ hasText: "in the maintenance window" });
  await expect(ended.first()).toContainText("ended by ada");
});

test.describe("refused", () => {
  // Chromium writes a line for every answer of 400 and above.
  test.use({ expectedErrors: [/status of 422/] });

  test("what is wrong is said at its field", async ({ page }) => {
    const ui = new Console(page);
    await page.goto("/schedules");
    await page.getByRole("button", { name: "New schedule" }).click();
    const create = ui.dialog.getByRole("button", { name: "Create schedule" });
    await ui.dialog.getByLabel("Hosts").fill("web-01\nno-such-host");
    await ui.dialog.getByLabel("Reason").fill("to be refused");
    await ui.dialog.getByLabel("At (UTC)", { exact: true }).fill("2020-01-01T00:00");
    await create.click();
    await expect(ui.dialog.getByText(/^Is in the past/)).toBeVisible();
    await expect(ui.dialog.getByLabel("At (UTC)", { exact: true })).toBeFocused();

    await ui.dialog.getByLabel("At (UTC)", { exact: true }).fill(utc(3_600));
    await create.click();
    await expect(ui.dialog.getByText(/^No active endpoint is "no-such-host"/)).toBeVisible();
    await expect(ui.dialog.getByText(/^Is in the past/)).toBeHidden();

    await ui.dialog.getByLabel("Runs").selectOption("Again and again");
    await ui.dialog.getByLabel("Cron").fill("30 2 *");
    await create.click();
    await expect(ui.dialog.getByText(/^Has 3 fields and needs 5/)).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(ui.dialog).toBeHidden();
  });
});
