// Hosts that are away, and agents that die: what was ordered happens once, and nothing is shown that is not so.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("an order for an offline host waits, says so, and can be cancelled", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  lab.stopAgent("web-01");
  await expect(ui.connection).toHaveText("Offline");

  await ui.isolate("ordered while it was away");
  await expect(ui.badge).toContainText("Isolation queued");
  await expect(ui.badge).toContainText(/expires in/);
  await page.reload();
  await expect(ui.badge).toContainText("Isolation queued");

  await ui.commands.first().getByRole("button", { name: /^Cancel command/ }).click();
  await expect(ui.commands.first()).toContainText("Cancelled");
  await expect(ui.badge).toHaveText("Connected");
  lab.startAgent("web-01");
  await ui.expectConnected();
  expect(lab.ruleset("web-01")).not.toContain("voltaxe");
});

test("an order for an offline host is carried out once when it comes back", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  const earlier = await ui.commands.count();
  lab.stopAgent("web-01");
  await expect(ui.connection).toHaveText("Offline");
  await ui.isolate("carried out later");
  await expect(ui.badge).toContainText("Isolation queued");

  lab.startAgent("web-01");
  await ui.expectVerified();
  await expect(ui.commands).toHaveCount(earlier + 1);
  await expect(ui.commands.first()).toContainText("Executed");
});

test("an agent killed while its host is isolated takes the isolation up again", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  const before = lab.ruleset("web-01");
  await ui.isolate("the agent will be killed");
  await ui.expectVerified();
  const isolated = lab.ruleset("web-01");

  lab.stopAgent("web-01", "KILL");
  expect(lab.ruleset("web-01"), "the kernel keeps the rules without the agent").toBe(isolated);
  expect(lab.onHost("web-01", `curl -sS -m 2 http://${lab.outside.v4}:8000/`).status).toBe(28);
  await expect(ui.connection).toHaveText("Offline");

  lab.startAgent("web-01");
  await expect(ui.connection).toHaveText("Online");
  await ui.expectVerified();
  expect(lab.ruleset("web-01"), "the same rules, not a second set").toBe(isolated);
  await ui.release();
  await ui.expectConnected();
  expect(lab.ruleset("web-01")).toBe(before);
});
