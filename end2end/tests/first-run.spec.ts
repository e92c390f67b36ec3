// From an empty server to the first host in the list, with nothing but what the page and the console print.

import { expectAccessible, expect, screenshot, test } from "../support/fixtures.ts";
import { ADMIN, Console } from "../support/console.ts";

test.describe.configure({ mode: "serial" });

let link: string;

test("the printed link creates the first administrator", async ({ page, lab }) => {
  link = lab.setupLink();
  await page.goto(link);
  await expectAccessible(page, "setup page");
  await page.getByLabel("Username").fill(ADMIN.username);
  await page.getByLabel("Password", { exact: true }).fill(ADMIN.password);
  await page.getByLabel("Password again").fill(ADMIN.password);
  await page.getByRole("button", { name: "Create administrator" }).click();
  await expect(page.getByRole("heading", { name: "Endpoints" })).toBeVisible();
});

test("the link is dead once an administrator exists", async ({ page, lab }) => {
  await page.goto(link);
  await expect(page.getByText("This server has an administrator already")).toBeVisible();
  await expect(page.getByLabel("Username")).toHaveCount(0);
  await expectAccessible(page, "setup page with a dead link");
  expect(lab.attempt(["admin", "setup-link"]).status).not.toBe(0);
});

test("an empty list gives the one-line enrol command, and becomes the list when the host arrives", async ({ page, lab }) => {
  await new Console(page).signIn();
  await expectAccessible(page, "empty list");
  await page.getByRole("button", { name: "Create enrol command" }).click();
  const command = (await page.getByRole("group", { name: "the enrol command" }).innerText()).trim();
  expect(command).toMatch(/^printf %s 'vxe1\.\S+' \| sudo voltaxe-sentinel enroll --token-file -$/);
  await expectAccessible(page, "empty list with the enrol command");
  await screenshot(page, "enrol");

  const enrolled = lab.onHost("web-01", command);
  expect(enrolled.status, enrolled.stderr).toBe(0);
  await expect(page.getByRole("link", { name: "Open web-01" })).toBeVisible();
  const row = new Console(page).row("web-01");
  await expect(row).toContainText("Not reported yet");

  lab.startAgent("web-01");
  await expect(row).toContainText("Connected");
  await expect(row).toContainText("Online");

  const again = lab.onHost("web-01", command);
  expect(again.status, "the token is used up").not.toBe(0);
});

test("hosts enrolled by the command line join the same list without a reload", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.signIn();
  for (const host of ["web-02", "db-01"] as const) {
    lab.enrol(host);
    lab.startAgent(host);
    await expect(ui.row(host)).toContainText("Connected");
  }
  await expect(ui.row("web-01")).toContainText(/Debian|Linux/);
  await expect(ui.row("web-01")).toContainText(`10.${lab.number}.0.11`);
});
