// The page of credentials for machines.

import { request } from "@playwright/test";
import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { settle } from "../support/settle.ts";

test("a token is made, shown once, works in its role, and is revoked", async ({ page, lab, expectedErrors }) => {
  expectedErrors.push(/422|409/);
  await settle(page, lab, "web-01");
  const name = `ticket-robot-${Date.now().toString(36)}`;
  await page.goto("/tokens");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Role").selectOption("responder");
  await page.getByLabel("Days").fill("400");
  await page.getByRole("button", { name: "Create token" }).click();
  await expect(page.getByLabel("Days")).toHaveAttribute("aria-invalid", "true");
  await page.getByLabel("Days").fill("30");
  await page.getByRole("button", { name: "Create token" }).click();
  const made = page.getByRole("status").filter({ hasText: "is shown this once" });
  await expect(made).toBeVisible();
  const token = await made.getByRole("group", { name: "the token" }).locator("code").innerText();
  const row = page.getByRole("table", { name: "API tokens" }).getByRole("row").filter({ hasText: name });
  await expect(row).toContainText("responder");
  await expect(row).toContainText("never");
  await expectAccessible(page, "API tokens");

  const machine = await request.newContext({ baseURL: lab.url, extraHTTPHeaders: { Authorization: `Bearer ${token.trim()}` } });
  const hosts = await machine.get("/api/endpoints?q=web-01");
  expect(hosts.status()).toBe(200);
  expect((await machine.get("/api/tokens")).status(), "tokens are no business of a token").toBe(403);
  await page.reload();
  await expect(page.getByText(token.trim())).toHaveCount(0);
  await expect(row).not.toContainText("never");
  await screenshot(page, "tokens");

  await row.getByRole("button", { name: `Revoke ${name}` }).click();
  await expect(row.getByRole("button")).toHaveCount(0);
  expect((await machine.get("/api/endpoints")).status()).toBe(401);
  await machine.dispose();
});
