// The pages that look back, and those of the server and its operators.

import fs from "node:fs";
import type { Page } from "@playwright/test";
import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { ADMIN, Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

/** A name that no other run has used: operators are never deleted. */
const fresh = (name: string): string => `${name}-${Date.now().toString(36)}`;

const table = (page: Page, name: string) => page.getByRole("table", { name });

async function check(page: Page, url: string, reason: string): Promise<number> {
  const answer = await page.request.post("/api/commands?wait=10", {
    data: { command: "agent_check", hostname: "web-01", reason },
    headers: { Origin: url },
  });
  expect(answer.status(), await answer.text()).toBe(202);
  return ((await answer.json()) as { command_id: number }).command_id;
}

async function createOperator(page: Page, name: string, password: string, role = "viewer"): Promise<void> {
  await page.goto("/operators");
  await page.getByText("New operator").click();
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Role").selectOption(role);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Password again").fill(password);
  await page.getByRole("button", { name: "Create operator" }).click();
  await expect(page.getByText(`${name} can sign in now.`)).toBeVisible();
  await expect(page.getByRole("link", { name, exact: true })).toBeVisible();
}

test("the audit log says who did what, why, and with which result", async ({ page, lab }) => {
  const reason = fresh("looked at for the log");
  const id = await check(page, lab.url, reason);
  await page.goto("/audit");
  const row = table(page, "Audit log").getByRole("row").filter({ hasText: reason });
  await expect(row).toContainText("command.agent_check");
  await expect(row).toContainText("web-01");
  await expect(row).toContainText("executed");
  await expectAccessible(page, "audit log");
  await screenshot(page, "audit");

  await page.getByLabel("Reason").fill(reason);
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page).toHaveURL(/\/audit\?reason=looked/);
  await expect(table(page, "Audit log").getByRole("row")).toHaveCount(2);
  await page.reload();
  await expect(page.getByLabel("Reason")).toHaveValue(reason);
  await expect(table(page, "Audit log").getByRole("row")).toHaveCount(2);

  const downloading = page.waitForEvent("download");
  await page.getByRole("link", { name: "Export as CSV" }).click();
  const csv = fs.readFileSync(await (await downloading).path(), "utf8");
  expect(csv.split("\r\n")[0]).toContain("id,at,actor,action");
  expect(csv).toContain(reason);
  expect(csv.trimEnd().split("\r\n")).toHaveLength(2);

  await row.getByRole("link").first().click();
  await expect(page.getByRole("heading", { name: /^Audit row \d+$/, level: 1 })).toBeVisible();
  await expectAccessible(page, "audit row");
  await page.getByRole("link", { name: `Command #${id}` }).click();
  await expect(page.getByRole("heading", { name: `Check #${id}`, level: 1 })).toBeVisible();
  await expect(table(page, "What happened")).toContainText("Executed");
  await expectAccessible(page, "command page");
  await screenshot(page, "command");
});

test("commands are filtered in the address, and new ones come only where they fit", async ({ page, lab }) => {
  const first = fresh("first of two");
  await check(page, lab.url, first);
  await page.goto("/commands");
  await page.getByLabel("Command", { exact: true }).selectOption("Check");
  await page.getByLabel("Host", { exact: true }).fill("WEB-01");
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page).toHaveURL(/kind=agent_check/);
  const rows = table(page, "Commands").getByRole("row");
  await expect(rows.filter({ hasText: first })).toBeVisible();
  await expectAccessible(page, "filtered commands");

  const second = fresh("second of two");
  await check(page, lab.url, second);
  await expect(rows.nth(1)).toContainText(second);
  await page.getByLabel("State").selectOption("Failed");
  await page.getByLabel("Host", { exact: true }).fill("no-such-host");
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.getByText("No command fits.")).toBeVisible();
  await check(page, lab.url, fresh("fits nowhere"));
  await expect(page.getByText("No command fits.")).toBeVisible();
  await page.goBack();
  await expect(rows.filter({ hasText: second })).toBeVisible();
});

test("an operator is made, changed, disabled, and thrown out at once", async ({ page, browser, lab }) => {
  const name = fresh("olga");
  const password = "a passphrase of some length";
  await createOperator(page, name, password);
  await expectAccessible(page, "operators");
  await screenshot(page, "operators");

  const theirs = await browser.newContext({ baseURL: lab.url });
  const their = await theirs.newPage();
  await new Console(their).signIn({ username: name, password });
  await page.getByRole("link", { name, exact: true }).click();
  await expect(table(page, "Sessions").getByRole("row")).toHaveCount(2);
  await expectAccessible(page, "operator page");
  await page.getByLabel("Role").selectOption("responder");
  await page.getByRole("button", { name: "Change role" }).click();
  await expect(page.getByText("The role is responder now.")).toBeVisible();
  await page.getByRole("button", { name: `Disable ${name}` }).click();
  await expect(page.getByText("Disabled. Their sessions have ended.")).toBeVisible();
  await expect(their.getByText("You are signed out; this page no longer changes")).toBeVisible();
  expect((await their.request.get("/telemetry")).status()).toBe(401);
  await theirs.close();

  await page.goto("/operators");
  await page.getByRole("link", { name: ADMIN.username, exact: true }).click();
  await expect(page.getByText("Your own role cannot be changed")).toBeVisible();
  await expect(page.getByRole("button", { name: "Change role" })).toHaveCount(0);
});

test.describe("refused", () => {
  // Chromium writes a line for every answer of 400 and above.
  test.use({ expectedErrors: [/status of (401|403|422)/] });

  test("a new password is typed twice, against the old one, and ends other sessions", async ({ page, browser, lab }) => {
    const name = fresh("paul");
    const [old, next] = ["a passphrase of some length", "another passphrase of some length"];
    await createOperator(page, name, old);
    const contexts = await Promise.all([browser.newContext({ baseURL: lab.url }), browser.newContext({ baseURL: lab.url })]);
    const [one, other] = await Promise.all(contexts.map((context) => context.newPage()));
    await new Console(one!).signIn({ username: name, password: old });
    await new Console(other!).signIn({ username: name, password: old });

    await one!.goto("/settings");
    await one!.getByText("Change your password").click();
    const fill = async (was: string, password: string, again: string): Promise<void> => {
      await one!.getByLabel("Old password").fill(was);
      await one!.getByLabel("New password", { exact: true }).fill(password);
      await one!.getByLabel("New password again").fill(again);
      await one!.getByRole("button", { name: "Change password" }).click();
    };
    await fill(old, next, "something else");
    await expect(one!.getByText("Is not the same; type it twice.")).toBeVisible();
    await expect(one!.getByLabel("New password again")).toBeFocused();
    await fill("not the old one", next, next);
    await expect(one!.getByText("Is wrong.")).toBeVisible();
    await fill(old, next, next);
    await expect(one!.getByText("Your password is changed.")).toBeVisible();
    expect(one!.url()).not.toContain("passphrase");
    await expect(table(one!, "Sessions").getByRole("row")).toHaveCount(2);
    expect((await other!.request.get("/telemetry")).status()).toBe(401);
    await Promise.all(contexts.map((context) => context.close()));
  });

  test("what is not for a viewer says so", async ({ page, browser, lab }) => {
    const name = fresh("vic");
    await createOperator(page, name, "a passphrase of some length");
    const theirs = await browser.newContext({ baseURL: lab.url });
    const their = await theirs.newPage();
    await new Console(their).signIn({ username: name, password: "a passphrase of some length" });
    await their.goto("/audit");
    await expect(their.getByText("This needs the role responder. Ask an administrator.")).toBeVisible();
    await their.goto("/operators");
    await expect(their.getByText("This needs the role admin. Ask an administrator.")).toBeVisible();
    await their.goto("/settings");
    await expect(their.getByRole("heading", { name: "Settings", level: 1 })).toBeVisible();
    await expect(their.getByText("Set a rate limit")).toHaveCount(0);
    await theirs.close();
  });
});

test("settings show the server's, and set and remove a rate limit", async ({ page }) => {
  await page.goto("/settings");
  await expect(table(page, "Server")).toContainText("History is kept");
  await page.getByText("Set a rate limit").click();
  await page.getByLabel("Commands").first().selectOption("collect_forensics");
  await page.getByLabel("A minute").fill("30");
  await page.getByLabel("At once").fill("5");
  await page.getByRole("button", { name: "Set limit" }).click();
  await expect(page.getByText("The limit is set.")).toBeVisible();
  await expect(table(page, "Rate limits")).toContainText("collect_forensics");
  await expectAccessible(page, "settings");
  await screenshot(page, "settings");
  await page.getByText("Remove a rate limit").click();
  await page.getByRole("button", { name: "Remove limit" }).click();
  await expect(page.getByText("The limit is gone.")).toBeVisible();
});

test("health draws what the server measures and says what to look at", async ({ page }) => {
  await page.goto("/health");
  await expect(page.getByRole("heading", { name: "Connected agents" })).toBeVisible();
  await expect(table(page, "What is watched")).toContainText("Commands are picked up");
  const measured = table(page, "This server").getByRole("row").filter({ hasText: "Measured at" });
  const before = await measured.innerText();
  await expect.poll(() => measured.innerText(), { timeout: 15_000 }).not.toBe(before);
  await expectAccessible(page, "health");
  await screenshot(page, "health");
});
