// The console without a mouse.

import type { Locator, Page } from "@playwright/test";
import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

const palette = (page: Page): Locator => page.getByRole("dialog", { name: "Hosts, pages and actions" });
const sheet = (page: Page): Locator => page.getByRole("dialog", { name: "Keyboard shortcuts" });
const links = (page: Page): Locator => page.getByRole("rowheader").getByRole("link");

/** The keys' code comes after the page. */
async function openPalette(page: Page): Promise<void> {
  await expect(async () => {
    await page.keyboard.press("Control+k");
    await expect(palette(page)).toBeVisible({ timeout: 500 });
  }).toPass();
  await expect(page.getByRole("combobox", { name: "Host, page or action" })).toBeFocused();
}

async function keysAreThere(page: Page): Promise<void> {
  await openPalette(page);
  await page.keyboard.press("Escape");
  await expect(palette(page)).toBeHidden();
}

/** Tab, until this has the focus. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let press = 0; press < 40; press++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  await expect(target).toBeFocused();
}

async function expectFocusSomewhere(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).not.toBe("BODY");
}

async function orderByKeys(page: Page, verb: "Isolate" | "Release"): Promise<void> {
  const ui = new Console(page);
  await openPalette(page);
  await page.keyboard.type(`${verb.toLowerCase()} web-01`);
  const option = palette(page).getByRole("option", { name: `${verb} web-01` });
  await expect(option).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "web-01", level: 1 })).toBeVisible();
  const dialog = page.getByRole("dialog", { name: `${verb} web-01?` });
  await expect(dialog.getByLabel("Reason")).toBeFocused();
  await page.keyboard.type(`${verb} by the keyboard alone`);
  await tabTo(page, ui.submit(verb));
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expectFocusSomewhere(page);
  await expect(page).not.toHaveURL(/order=/);
}

test("isolates and releases a host without a mouse", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await page.goto("/");
  await orderByKeys(page, "Isolate");
  await ui.expectVerified();
  await expect(ui.commands.first()).toContainText("Isolate by the keyboard alone");
  // Once more from the host's own page, where the address is the same.
  await orderByKeys(page, "Release");
  await ui.expectConnected();
});

test("the palette finds hosts, pages and actions", async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02");
  await page.goto("/");
  await openPalette(page);
  await expectAccessible(page, "palette");
  await screenshot(page, "palette");
  await page.keyboard.type("eb-02");
  await expect(palette(page).getByRole("option").first()).toContainText("Open web-02");
  await page.keyboard.press("ArrowDown");
  await expect(palette(page).getByRole("option", { name: "Isolate web-02" })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "web-02", level: 1 })).toBeVisible();

  await openPalette(page);
  await page.keyboard.type("sched");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Schedules", level: 1 })).toBeVisible();

  await openPalette(page);
  await page.keyboard.type("in utc");
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("Times in")).toHaveValue("utc");

  await openPalette(page);
  await page.keyboard.type("no such thing");
  await expect(palette(page).getByRole("status")).toHaveText("Nothing has this in its name");
  await page.keyboard.press("Escape");
  await expect(palette(page)).toBeHidden();
  await expectFocusSomewhere(page);
});

test("rows are moved through, ticked and opened, and Esc goes back to the one that was left", async ({ page, lab }) => {
  await settle(page, lab, "web-01", "web-02");
  await page.goto("/");
  await keysAreThere(page);
  const [first, second] = [links(page).nth(0), links(page).nth(1)];
  await page.keyboard.press("j");
  await expect(first).toBeFocused();
  await page.keyboard.press("k");
  await expect(first).toBeFocused();
  await page.keyboard.press("j");
  await expect(second).toBeFocused();
  const name = (await second.textContent())!.trim();
  const tick = page.getByRole("checkbox", { name: `Select ${name}` });
  await page.keyboard.press("x");
  await expect(tick).toBeChecked();
  await page.keyboard.press("x");
  await expect(tick).not.toBeChecked();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name, level: 1 })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("heading", { name: "Endpoints", level: 1 })).toBeVisible();
  await expect(links(page).filter({ hasText: name })).toBeFocused();
});

test("a slash goes to the search, where letters are letters, and Esc comes back", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  await page.goto("/");
  await keysAreThere(page);
  await page.keyboard.press("j");
  await page.keyboard.press("/");
  const search = page.getByRole("searchbox");
  await expect(search).toBeFocused();
  await page.keyboard.type("jkx?gb");
  await expect(search).toHaveValue("jkx?gb");
  await search.fill("");
  await page.keyboard.press("Escape");
  await expect(search).not.toBeFocused();
});

test("G and a letter go to a page", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  await page.goto("/");
  await keysAreThere(page);
  for (const [key, title] of [["c", "Commands"], ["b", "Batches"], ["s", "Schedules"], ["e", "Endpoints"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await expect(page.getByRole("heading", { name: title, level: 1 })).toBeVisible();
    await expectFocusSomewhere(page);
  }
});

test("the sheet names the keys, and switches those without Ctrl off", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  await page.goto("/");
  await keysAreThere(page);
  await page.keyboard.press("?");
  await expect(sheet(page)).toContainText("Go to Schedules");
  await expectAccessible(page, "sheet of keys");
  const works = sheet(page).getByLabel("Keys without Ctrl work");
  await works.uncheck();
  await page.keyboard.press("Escape");
  await expect(sheet(page)).toBeHidden();
  await page.keyboard.press("j");
  await expect(links(page).first()).not.toBeFocused();

  await page.reload();
  await openPalette(page);
  await page.keyboard.type("shortcuts");
  await page.keyboard.press("Enter");
  await expect(works).not.toBeChecked();
  await works.check();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await expect(links(page).first()).toBeFocused();
});

test("the head has room for all pages in a narrow window", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto("/");
  await keysAreThere(page);
  const more = page.getByRole("navigation", { name: "Main" }).getByText("More", { exact: true });
  await more.focus();
  await page.keyboard.press("Enter");
  const enrol = page.getByRole("link", { name: "Enrol", exact: true });
  await expect(enrol).toBeVisible();
  await expectAccessible(page, "open menu");
  await page.keyboard.press("Escape");
  await expect(enrol).toBeHidden();
  await expect(more).toBeFocused();
  await page.keyboard.press("Enter");
  await enrol.click();
  await expect(page.getByRole("heading", { name: /Enrol/, level: 1 })).toBeVisible();
});
