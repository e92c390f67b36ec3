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
