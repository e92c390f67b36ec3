// The page that lets hosts in: tokens, the line for each kind of package, and hosts that come with another key.

import { expect, expectAccessible, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("a command is listed without its secret, and revoked", async ({ page, lab }) => {
  await page.goto("/enrol");
  await page.getByLabel("Label (optional)").fill("rack 7");
  await page.getByLabel("Ends after").selectOption("1 day");
  await page.getByRole("button", { name: "Create enrol command" }).click();
  const command = (await page.getByRole("group", { name: "the enrol command" }).innerText()).trim();
  await expect(page.getByText("not on this server and not on your own machine")).toBeVisible();
  const token = command.match(/vxe1\.[^.]+/)![0];

  await page.reload();
  const row = page.getByRole("table", { name: "Enrol commands" }).getByRole("row").filter({ hasText: "rack 7" });
  await expect(row.getByRole("button", { name: "Revoke rack 7" })).toBeVisible();
  expect(await page.content()).not.toContain(token);
  await expectAccessible(page, "enrolment page");
  await row.getByRole("button", { name: "Revoke rack 7" }).click();
  await expect(row).toContainText("Ended");
  const refused = lab.onHost("web-01", command.replace("--token-file -", "--replace --token-file -"));
  expect(refused.status, "the token was revoked").not.toBe(0);
});

test("hints come when no host does", async ({ page }) => {
  await page.clock.install();
  await page.goto("/enrol");
  await page.getByRole("button", { name: "Create enrol command" }).click();
  await expect(page.getByText("Waiting for the first host")).toBeVisible();
  await page.clock.fastForward("01:05");
  await expect(page.getByText("What usually stands in the way")).toBeVisible();
  await expect(page.getByText("Its clock is more than a minute off")).toBeVisible();
});

test("the next runs of a cron expression are shown as it is written, in its zone and in UTC", async ({ page }) => {
  const ui = new Console(page);
  await page.goto("/schedules");
  await page.getByRole("button", { name: "New schedule" }).click();
  await ui.dialog.getByLabel("Runs").selectOption("Again and again");
  await ui.dialog.getByLabel("Time zone").fill("Asia/Tokyo");
  await ui.dialog.getByLabel("Cron").fill("30 2 * * *");
  await expect(ui.dialog.getByRole("listitem")).toHaveCount(5);
  await expect(ui.dialog.getByRole("listitem").first()).toContainText(/02:30 JST = .*17:30:00 UTC/);
});
