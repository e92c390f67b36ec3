// Code that is loaded when it is wanted, and cannot be: the page says so, loses no press, and goes on when the code comes.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.use({
  // What Chromium and the loader write for a file that does not come.
  expectedErrors: [/net::ERR_FAILED|status of 404|Failed to fetch|WebAssembly|was preloaded using link preload/],
});

const NOTICE = /could not be loaded and is tried again/;

test("a dialog whose code comes late opens then, for the press before", async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02");
  const ui = new Console(page);
  const extra = /split_extra\..*\.wasm/;
  await page.route(extra, (route) => route.abort());
  await page.goto("/");
  const notice = page.getByRole("alert").filter({ hasText: NOTICE });
  await expect(notice).toBeVisible();
  await page.getByRole("checkbox", { name: "Select web-01" }).check();
  await page.getByRole("button", { name: "Isolate selected (1)" }).click();
  await page.unroute(extra);
  await expect(ui.dialog.getByRole("heading", { name: "Isolate web-01?" })).toBeVisible({ timeout: 20_000 });
  await expect(notice).toHaveCount(0);
});

test("a page whose code this server no longer has is asked of the server", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await page.goto("/");
  await page.evaluate(() => (document.body.dataset["tab"] = "old"));
  await page.route(/split_endpoint\..*\.wasm/, (route) => route.fulfill({ status: 404 }), { times: 1 });
  await ui.row("web-01").getByRole("link", { name: "web-01" }).click();
  await expect(page).toHaveURL(/\/endpoints\/ep_/);
  await expect(page.locator("body")).not.toHaveAttribute("data-tab", "old");
  await ui.isolate("with the code of the new version");
  await ui.expectVerified();
  await ui.release("with the code of the new version");
  await ui.expectConnected();
});

test("a page is there without its code, and comes to life when that comes", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  const code = /split_endpoint\..*\.wasm/;
  await page.route(code, (route) => route.abort());
  await page.reload();
  const notice = page.getByRole("alert").filter({ hasText: NOTICE });
  await expect(notice.getByRole("link", { name: "reload the page" })).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("web-01");
  await page.unroute(code);
  await expect(notice).toHaveCount(0, { timeout: 20_000 });
  await ui.isolate("with code");
  await ui.expectVerified();
  await ui.release("with code");
  await ui.expectConnected();
});
