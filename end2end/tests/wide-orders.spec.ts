// One order to more hosts than anybody ticks by hand. The hosts are simulated (voltaxe-load): they speak the agent's protocol, and
// isolate nothing.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { ROOT, type Lab } from "../support/lab.ts";
import { settle } from "../support/settle.ts";

const LOAD = path.join(ROOT, "target/release/voltaxe-load");
const HOSTS = 27;

let fleet: ChildProcess | undefined;

test.afterEach(async () => {
  if (!fleet || fleet.exitCode !== null) return;
  const ended = new Promise((resolve) => fleet!.once("exit", resolve));
  fleet.kill("SIGTERM");
  await ended;
});

/** Enrols simulated hosts and keeps them connected until the test is over. */
function populate(lab: Lab): void {
  const token = lab.admin(["enrolment-token", "--label", "simulated", "--uses", String(HOSTS)]);
  const file = path.join(lab.state, "wide-orders.json");
  const words = ["populate", "--server", lab.url, "--agents", String(HOSTS), "--fleet", file];
  execFileSync(LOAD, words, { input: token, stdio: ["pipe", "ignore", "inherit"] });
  fleet = spawn(LOAD, ["idle", "--server", lab.url, "--fleet", file, "--seconds", "100"], { stdio: "ignore" });
}

test("25 of 27 hosts that match are isolated by one order with a typed count, and released by another", async ({ page, lab }) => {
  test.setTimeout(120_000);
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  populate(lab);
  await page.goto("/?q=sim&status=connected");
  const rows = page.getByRole("table", { name: "Endpoints" }).getByRole("rowheader");
  await expect(async () => {
    await page.reload();
    await expect(rows).toHaveCount(HOSTS, { timeout: 1_000 });
  }).toPass({ timeout: 60_000 });
  const [first, second] = await rows.allInnerTexts();

  await page.getByRole("checkbox", { name: "Select all shown" }).check();
  await page.getByRole("button", { name: `Isolate selected (${HOSTS})` }).click();
  for (const [host, why] of [[first, "runs the door locks"], [second, "is being imaged"]]) {
    await ui.dialog.getByLabel("Take a host out").fill(host);
    await ui.dialog.getByRole("button", { name: "Take out" }).click();
    await ui.dialog.getByLabel(`Why ${host} is taken out`).fill(why);
  }
  await ui.dialog.getByLabel("Reason").fill("the worm of this morning");
  const send = ui.dialog.getByRole("button", { name: "Isolate 25 hosts" });
  await send.click();
  await expect(ui.dialog, "it wants the number").toContainText("Type 25 to confirm.");
  await ui.dialog.getByLabel("Number of hosts, to confirm").fill("25");
  await send.click();

  await expect(page.getByRole("heading", { name: "Isolate 25 hosts", level: 1 })).toBeVisible();
  await expect(ui.progress).toContainText("All 25 finished", { timeout: 30_000 });
  await expect(ui.progress).toContainText(/25\s*Executed/);
  const out = page.getByRole("region", { name: "Taken out before it was sent" });
  await expect(out.getByRole("listitem")).toHaveCount(2);

  await ui.progress.getByRole("button", { name: "Undo…" }).click();
  await ui.dialog.getByLabel("Reason").fill("it was the backup");
  await ui.dialog.getByRole("button", { name: "Release its hosts" }).click();
  await expect(page.getByRole("heading", { name: "Release 25 hosts", level: 1 })).toBeVisible();
  await expect(ui.progress).toContainText("All 25 finished", { timeout: 30_000 });
});
