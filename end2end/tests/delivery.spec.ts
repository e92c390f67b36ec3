// What an operator sees of delivery: by which way a command went, what becomes of taking it back, and isolations that end
// by themselves.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle, telemetry } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("the channels are shown, and a check says by which of them it arrived", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  await expect(ui.channels).toContainText(/Stream.*open since/);
  await expect(ui.channels).toContainText("Direct");
  await expect(ui.channels).toContainText("Polling");

  await ui.channels.getByRole("button", { name: "Check delivery" }).click();
  await expect(ui.channels).toContainText(/Check: command \d+ accepted, method (stream|direct)\./);
  await expect(ui.commands.first()).toContainText("Check");
  await expect(ui.commands.first()).toContainText("Executed");
  await expect(ui.commands.first()).toContainText(/by (stream|direct)/);
  await ui.expectConnected();
});

test("an isolation that ends by itself is counted down, extended, and kept", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.isolate("for an hour", "1 h");
  await ui.expectVerified();
  await expect(ui.rollback).toContainText(/Releases itself at .*\d\d:\d\d UTC, in (59 min|1 h)/);

  await ui.rollback.getByRole("button", { name: "Extend by 4 h" }).click();
  await expect(ui.rollback).toContainText(/in (4 h 59 min|5 h)/);
  await page.reload();
  await expect(ui.rollback).toContainText(/in (4 h 5\d min|5 h)/);

  await ui.rollback.getByRole("button", { name: "Stay isolated" }).click();
  await expect(ui.rollback).toBeHidden();
  await page.reload();
  await ui.expectVerified();
  await expect(ui.rollback).toBeHidden();
  await ui.release();
  await ui.expectConnected();
});

test("a command that nobody was given is cancelled for certain, and with it what would follow", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  lab.stopAgent("web-01");
  await expect(ui.connection).toHaveText("Offline");
  await ui.isolate("nobody has it yet", "4 h");
  await expect(ui.rollback).toContainText("Releases itself 4 h after it takes effect");
  await expect(ui.channels).toContainText(/Stream.*lost/);

  const newest = ui.commands.first();
  await expect(newest).toContainText("It was not handed out: cancelling is certain.");
  await newest.getByRole("button", { name: /^Cancel command \d+$/ }).click();
  await expect(newest).toContainText("Cancelled");
  await expect(ui.rollback).toBeHidden();
  lab.startAgent("web-01");
  await ui.expectConnected();
  expect(lab.ruleset("web-01")).not.toContain("voltaxe");
});

test("a command that was handed out is asked back, and the host says what was first", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  lab.hangAgent("web-01");
  try {
    await ui.isolate("the agent hangs");
    const newest = ui.commands.first();
    await newest.getByRole("button", { name: /^Ask to cancel command \d+$/ }).click();
    await expect(newest).toContainText("Cancel asked; the host has not answered.");
    await expect(newest).toContainText("Pending");
  } finally {
    lab.resumeAgent("web-01");
  }
  const ended = ui.commands.first();
  await expect(ended).toContainText(/The host gave it back: it was not carried out\.|The cancel came too late/, { timeout: 45_000 });
  const wasCarriedOut = /too late/.test(await ended.innerText());
  await expect.poll(async () => (await telemetry(page, "web-01")).isolated, { timeout: 30_000 }).toBe(wasCarriedOut);
  if (wasCarriedOut) await ui.release();
  await ui.expectConnected();
});

test("all commands are on one page, and new ones come on top", async ({ page, lab }) => {
  await page.goto("/commands");
  const rows = page.getByRole("table", { name: "Commands" }).getByRole("row");
  const newest = rows.nth(1);
  const made = await page.request.post("/api/commands", {
    data: { command: "agent_check", hostname: "web-01", reason: "seen by everybody" },
    headers: { Origin: lab.url },
  });
  expect(made.ok(), await made.text()).toBe(true);
  await expect(newest).toContainText("seen by everybody");
  await expect(newest).toContainText("Executed");
  await expect(newest).toContainText("ada");
  await newest.getByRole("link", { name: "web-01" }).click();
  await expect(page.getByRole("heading", { name: "web-01", level: 1 })).toBeVisible();
});

test("older commands are loaded when they are asked for", async ({ page, lab }) => {
  for (let made = 0; made < 55; made++) {
    const answer = await page.request.post("/api/commands", {
      data: { command: "agent_check", hostname: "db-01", reason: `number ${made} of many` },
      headers: { Origin: lab.url },
    });
    expect(answer.ok(), await answer.text()).toBe(true);
  }
  const ui = new Console(page);
  await ui.open("db-01");
  await expect(ui.commands).toHaveCount(50);
  await page.getByRole("button", { name: "Load older" }).click();
  await expect(ui.commands.filter({ hasText: "number 0 of many" })).toBeVisible();
});
