// Every time with its zone, in the zone that was chosen, wherever the operator goes.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.use({ timezoneId: "Asia/Kolkata" });

test("local time or UTC: kept in the address from page to page, and remembered", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  const seen = ui.row("web-01").getByRole("time");
  const zone = page.getByLabel("Times in");
  await page.goto("/");
  await expect(seen).toHaveText(/^\s*\d+ s ago\s*\d\d:\d\d:\d\d UTC\+5:30\s*$/);
  await expect(seen).toHaveAttribute("title", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\+5:30$/);
  await expect(seen).toHaveAttribute("datetime", /Z$/);
  await expect(page).not.toHaveURL(/tz=/);

  await zone.selectOption("UTC");
  await expect(seen).toHaveText(/\d\d:\d\d:\d\d UTC\s*$/);
  await expect(page).toHaveURL(/[?&]tz=utc$/);
  await page.getByRole("link", { name: "web-01", exact: true }).click();
  await expect(page.getByRole("heading", { name: "web-01", level: 1 })).toBeVisible();
  await expect(page).toHaveURL(/\/endpoints\/ep_\w+\?tz=utc$/);
  for (const title of await page.getByRole("time").evaluateAll((all) => all.map((one) => one.getAttribute("title")))) {
    expect(title).toMatch(/ UTC$/);
  }
  await page.reload();
  await expect(zone).toHaveValue("utc");

  await page.goto("/commands");
  await expect(zone).toHaveValue("utc");
  await expect(page).toHaveURL(/\/commands\?tz=utc$/);

  // A link shows what its sender saw, and changes nothing that was chosen here.
  await page.goto("/?tz=local");
  await expect(seen).toHaveText(/UTC\+5:30\s*$/);
  await page.goto("/");
  await expect(seen).toHaveText(/ UTC\s*$/);
});

test("the filter and the zone share the address", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  await page.goto("/?tz=utc");
  await page.getByRole("searchbox").fill("web");
  await expect(page).toHaveURL(/[?&]q=web/);
  await expect(page).toHaveURL(/[?&]tz=utc/);
  await page.reload();
  await expect(page.getByRole("searchbox")).toHaveValue("web");
  await expect(page.getByLabel("Times in")).toHaveValue("utc");
});

test("what takes a time says its zone", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await expect(ui.dialog.getByLabel("Not before (UTC)")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.goto("/schedules");
  await page.getByRole("button", { name: "New schedule" }).click();
  await expect(ui.dialog.getByLabel("At (UTC)", { exact: true })).toBeVisible();
});
