// Response beyond the click: what an isolation will do and leaves open, what runs on a host, what was collected from it.
// Needs agents that carry out isolation_change, isolation_preview, list_processes, kill_process and collect_forensics.

import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("an isolation is previewed, leaves open what it was told to, and changes while it is in force", async ({ page, lab, expectedErrors }) => {
  expectedErrors.push(/422/);
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await expect(ui.dialog).toContainText(/\d+ open TCP connections and \d+ logins from elsewhere will drop/);
  await ui.dialog.getByText("Exceptions and a message to users").click();
  await ui.dialog.getByLabel("Stays open").fill("tcp 10.0.0.5:99999");
  await ui.dialog.getByRole("button", { name: "Look again" }).click();
  await expect(ui.dialog).toContainText("line 1");
  await ui.dialog.getByLabel("Stays open").fill(`tcp ${lab.outside.v4}:8000`);
  await ui.dialog.getByRole("button", { name: "Look again" }).click();
  await expect(ui.dialog).not.toContainText("line 1");
  await expect(ui.dialog).toContainText(/As the host saw it \d+ s ago/);
  await ui.dialog.getByText("The exact rules").click();
  await expect(ui.dialog).toContainText("voltaxe_isolation");
  await expectAccessible(page, "isolate dialog with a preview");
  await ui.dialog.getByLabel("Reason").fill("the backup goes on");
  await ui.submit("Isolate").click();
  await ui.expectVerified();
  const isolation = page.getByRole("region", { name: "Isolation" });
  await expect(isolation).toContainText(`tcp ${lab.outside.v4}:8000 out`);
  expect(lab.onHost("web-01", `curl -sS -m 3 http://${lab.outside.v4}:8000/`).stdout).toBe("hello from outside\n");

  await isolation.getByText("Change exceptions and end").click();
  const change = isolation.locator("#change");
  await expect(change.getByLabel("Stays open")).toHaveValue(`tcp ${lab.outside.v4}:8000 out`);
  await change.getByLabel("Stays open").fill("");
  await change.getByLabel("Reason").fill("the backup is done");
  await change.getByRole("button", { name: "Change isolation" }).click();
  await expect(isolation).not.toContainText("Open in these rules");
  await ui.expectVerified();
  expect(lab.onHost("web-01", `curl -sS -m 3 http://${lab.outside.v4}:8000/`).status).not.toBe(0);

  await isolation.getByText("Release without this server").click();
  await expectAccessible(page, "terms of an isolation");
  const ticket = isolation.locator("#ticket");
  await ticket.getByLabel("Reason").fill("to have one at hand");
  await ticket.getByRole("button", { name: "Issue a release ticket" }).click();
  await expect(ticket.getByRole("group", { name: "the release command" })).toContainText(/VXR1(-[0-9A-Z]+)+/);
  await ui.release();
  await ui.expectConnected();
});

test("processes are listed, reviewed, and ended by number", async ({ page, lab }) => {
  const ui = new Console(page);
  lab.onHost("web-01", "cp /bin/sleep /tmp/e2e-sleeper; /tmp/e2e-sleeper 600 >/dev/null 2>&1 &");
  await ui.open("web-01");
  await page.getByRole("link", { name: "Processes" }).click();
  await expect(page.getByRole("heading", { name: "Processes of web-01" })).toBeVisible();
  await page.getByLabel("Filter").fill("e2e-sleeper");
  const row = page.getByRole("row").filter({ hasText: "e2e-sleeper" });
  await expect(row).toHaveCount(1);
  await expectAccessible(page, "processes");
  await row.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Kill…" }).click();
  await expect(ui.dialog).toContainText("Is meant");
  await expect(ui.dialog.getByRole("row")).toHaveCount(2);
  await expectAccessible(page, "review of what is to be ended");
  await screenshot(page, "processes");
  await ui.dialog.getByLabel("Reason").fill("it sleeps too long");
  await ui.dialog.getByRole("button", { name: "Kill", exact: true }).click();
  await expect(page.getByRole("main")).toContainText("Ended");
  // What has ended stands in the table until its parent has asked for it.
  await expect.poll(() => lab.onHost("web-01", "pgrep -x e2e-sleeper").stdout).toBe("");
});

test("evidence is collected, arrives, is read, and is discarded", async ({ page, expectedErrors }) => {
  expectedErrors.push(/422/);
  test.setTimeout(180_000);
  const ui = new Console(page);
  await ui.open("web-01");
  await page.getByRole("navigation", { name: "More about this host" }).getByRole("link", { name: "Evidence" }).click();
  await expect(page.getByRole("heading", { name: "Evidence from web-01" })).toBeVisible();
  await page.getByText("Collect evidence").click();
  await page.getByLabel("Reason").fill("what runs here");
  await page.getByRole("button", { name: "Collect", exact: true }).click();
  await expect(page.getByRole("row").nth(1)).toContainText(/Stored/, { timeout: 120_000 });
  await expectAccessible(page, "evidence list");
  await page.getByRole("row").nth(1).getByRole("link").click();
  await expect(page.getByRole("main")).toContainText("Chain of custody");
  await expectAccessible(page, "evidence bundle");
  await screenshot(page, "evidence");
  await page.getByRole("link", { name: /processes/ }).first().click();
  await expect(page.getByRole("main")).toContainText("pid");
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the bundle" }).click();
  expect((await download).suggestedFilename()).toMatch(/^evidence-web-01-\d+\.zip$/);

  await page.getByText("Discard this bundle").click();
  const form = page.locator("#discard");
  await form.getByRole("button", { name: "Discard" }).click();
  await expect(form.getByLabel("Reason")).toHaveAttribute("aria-invalid", "true");
  await form.getByLabel("Reason").fill("collected for a test");
  await form.getByRole("button", { name: "Discard" }).click();
  await expect(page.getByRole("status").filter({ hasText: "is discarded" })).toBeVisible();
  await expect(page.getByRole("main")).toContainText("collected for a test");
  await expect(page.getByRole("link", { name: "Download the bundle" })).toHaveCount(0);
});
