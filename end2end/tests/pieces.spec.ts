// Code that is loaded when it is wanted, and cannot be: the page says so, loses no press, and goes on when the code comes.

import type { Locator, Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import type { Lab } from "../support/lab.ts";
import { settle } from "../support/settle.ts";

test.use({
  // What Chromium and the loader write for a file that does not come.
  expectedErrors: [/net::ERR_FAILED|status of 404|Failed to fetch|WebAssembly|was preloaded using link preload/],
});

const ENDPOINT = /split_endpoint\..*\.wasm/;

function notice(page: Page): Locator {
  return page.getByRole("alert").filter({ hasText: /could not be loaded and is tried again/ });
}

/** The page of web-01, as it is without the code that would make it live. */
async function openWithoutCode(page: Page, lab: Lab): Promise<Console> {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  await page.route(ENDPOINT, (route) => route.abort());
  await page.reload();
  return ui;
}

test("a dialog whose code comes late opens then, for the press before", async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02");
  const ui = new Console(page);
  const extra = /split_extra\..*\.wasm/;
  await page.route(extra, (route) => route.abort());
  await page.goto("/");
  await expect(notice(page)).toBeVisible();
  await page.getByRole("checkbox", { name: "Select web-01" }).check();
  await page.getByRole("button", { name: "Isolate selected (1)" }).click();
  await page.unroute(extra);
  await expect(ui.dialog.getByRole("heading", { name: "Isolate web-01?" })).toBeVisible({ timeout: 20_000 });
  await expect(notice(page)).toHaveCount(0);
});

test("a page whose code this server no longer has is asked of the server", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await page.goto("/");
  await page.evaluate(() => (document.body.dataset["tab"] = "old"));
  await page.route(ENDPOINT, (route) => route.fulfill({ status: 404 }), { times: 1 });
  await ui.row("web-01").getByRole("link", { name: "web-01" }).click();
  await expect(page).toHaveURL(/\/endpoints\/ep_/);
  await expect(page.locator("body")).not.toHaveAttribute("data-tab", "old");
  await ui.isolate("with the code of the new version");
  await ui.expectVerified();
  await ui.release("with the code of the new version");
  await ui.expectConnected();
});

test("a page is there without its code, and comes to life when that comes", async ({ page, lab }) => {
  const ui = await openWithoutCode(page, lab);
  await expect(notice(page).getByRole("link", { name: "reload the page" })).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("web-01");
  await page.unroute(ENDPOINT);
  await expect(notice(page)).toHaveCount(0, { timeout: 20_000 });
  await ui.isolate("with code");
  await ui.expectVerified();
  await ui.release("with code");
  await ui.expectConnected();
});

test("a link is followed on a page without its code", async ({ page, lab }) => {
  await openWithoutCode(page, lab);
  await expect(notice(page)).toBeVisible();
  await page.getByRole("link", { name: "Batches" }).click();
  await expect(page).toHaveURL(/\/batches$/);
  await expect(page.getByRole("heading", { level: 1, name: "Batches" })).toBeVisible();
  await expect(notice(page)).toHaveCount(0);
});

test("a link is followed while the page's code is on its way", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const asked = page.waitForRequest(ENDPOINT);
  await page.route(ENDPOINT, async (route) => {
    await held;
    await route.abort();
  });
  await page.reload({ waitUntil: "commit" });
  await asked;
  await page.getByRole("link", { name: "Batches" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Batches" })).toBeVisible();
  release();
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

test("of two hosts pressed while the code is missing, the last one is shown", async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02", "db-01");
  const ui = new Console(page);
  await page.goto("/?q=web");
  await expect(page.getByText("2 of 3 endpoints")).toBeVisible();
  await page.route(ENDPOINT, (route) => route.abort());
  // As if there were no server: it is not asked for the page that cannot be loaded.
  await page.route("**/rpc/session", (route) => route.abort());
  await ui.row("web-01").getByRole("link", { name: "web-01" }).click();
  await expect(notice(page)).toBeVisible();
  await expect(page).not.toHaveURL(/endpoints/);
  // What is in sight is what it was.
  await expect(page.getByText("2 of 3 endpoints")).toBeVisible();
  await ui.row("web-02").getByRole("link", { name: "web-02" }).click();
  await expect(page).toHaveURL(/endpoints/);
  await expect(page.getByRole("heading", { level: 1, name: "Endpoints" })).toBeVisible();
  await page.unroute("**/rpc/session");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("web-02");
  await page.unroute(ENDPOINT);
  await expect(notice(page)).toHaveCount(0, { timeout: 20_000 });
  await expect(ui.orderButton("Isolate")).toBeEnabled();
});

test.describe("with time to undo", () => {
  test.use({ undoSeconds: 5 });

  test("an order that leaves in a moment is not lost to a page without code", async ({ page, lab }) => {
    await settle(page, lab, "web-01");
    const ui = new Console(page);
    await ui.open("web-01");
    const orders = /split_orders\..*\.wasm/;
    await page.route(orders, (route) => route.fulfill({ status: 404 }));
    await ui.isolate("confirmed before a page was missing");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Commands" }).click();
    await expect(notice(page)).toBeVisible();
    await expect(ui.outgoing).toContainText("Isolating web-01");
    await expect(page.getByRole("heading", { level: 1, name: "Commands" })).toBeVisible({ timeout: 30_000 });
    await page.unroute(orders);
    await expect(page.getByRole("table", { name: "Commands" })).toContainText("confirmed before a page was missing");
    await expect(notice(page)).toHaveCount(0, { timeout: 20_000 });
    await ui.open("web-01");
    await ui.expectVerified();
    await ui.release();
    await ui.expectConnected();
  });
});
