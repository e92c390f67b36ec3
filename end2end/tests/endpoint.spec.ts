// The page of a host: what it measures, what is written about it, and an order's way from the dialog to the host.

import { expect, expectAccessible, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("telemetry is drawn, read out by keyboard, and told as a table", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  const telemetry = page.getByRole("region", { name: "Telemetry" });
  const slider = telemetry.getByRole("slider", { name: "Moment" });
  await expect(slider).toHaveAttribute("aria-valuetext", /^load \d+\.\d\d .* · memory \d+ %/);
  await slider.focus();
  await page.keyboard.press("Home");
  await expect(slider).toHaveAttribute("aria-valuetext", "nothing was reported");
  await page.keyboard.press("End");
  await expect(slider).toHaveAttribute("aria-valuetext", /^load/);
  await telemetry.getByText("The same as a table").click();
  const table = telemetry.getByRole("table", { name: "Telemetry" });
  await expect(table.getByRole("row").nth(1)).toContainText(/\d+ % \(\d+ % to \d+ %\)/);
  await telemetry.getByRole("button", { name: "7 d" }).click();
  await expect(telemetry.getByRole("button", { name: "7 d" })).toHaveAttribute("aria-pressed", "true");
  await expect(slider).toHaveAttribute("max", "167");
  await expectAccessible(page, "endpoint page with charts");
  await telemetry.scrollIntoViewIfNeeded();
  await screenshot(page, "telemetry");
});

test("of two who write labels and note at once nobody writes over the other unseen", async ({ page, context }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  const other = await context.newPage();
  const otherUi = new Console(other);
  await otherUi.open("web-01");
  const [mine, theirs] = [page, other].map((one) => one.getByRole("region", { name: "Labels and note" }));
  await mine.getByRole("button", { name: "Edit" }).click();
  await expect(mine.getByRole("textbox", { name: "Labels" })).toBeFocused();
  await mine.getByRole("textbox", { name: "Note" }).fill("mine");

  await theirs.getByRole("button", { name: "Edit" }).click();
  await theirs.getByRole("textbox", { name: "Labels" }).fill("prod role=web");
  await theirs.getByRole("textbox", { name: "Note" }).fill("theirs\non two lines");
  await theirs.getByRole("button", { name: "Save" }).click();
  await expect(theirs.getByRole("link", { name: "role=web" })).toHaveAttribute("href", "/?label=role%3Dweb");

  await mine.getByRole("button", { name: "Save" }).click();
  await expect(mine).toContainText("has changed this meanwhile. Nothing of yours was written.");
  await expect(mine).toContainText("theirs");
  await expectAccessible(page, "labels and note with a conflict");
  await expect(mine.getByRole("textbox", { name: "Note" })).toHaveValue("mine");
  await mine.getByRole("textbox", { name: "Labels" }).fill("prod");
  await mine.getByRole("button", { name: "Write mine instead" }).click();
  await expect(mine).toContainText("Written by ada");
  await expect(mine.getByText("mine", { exact: true })).toBeVisible();
  await expect(theirs.getByText("mine", { exact: true }), "the other page follows").toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole("region", { name: "Timeline" })).toContainText("Labels or note changed");
});

test("the dialog says at once what will drop, and how old that is", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await expect(ui.dialog).toContainText(/\d+ open TCP connections and \d+ logins from elsewhere will drop/);
  await expect(ui.dialog).toContainText(/As the host saw it \d+ s ago/);
  await ui.dialog.getByLabel("Why").selectOption("Lateral movement");
  await expect(ui.dialog.getByLabel("Reason")).toHaveValue("Suspected lateral movement: ");
  await expectAccessible(page, "isolate dialog with what will happen");
  await page.keyboard.press("Escape");
  await expect(ui.orderButton("Isolate")).toBeFocused();
});

test.describe("with time to undo", () => {
  test.use({ undoSeconds: 5 });

  test("nothing is sent while an order can be taken back, and nothing after it was", async ({ page }) => {
    const ui = new Console(page);
    await ui.open("web-01");
    const earlier = await ui.commands.count();
    const orders: string[] = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/rpc/order")) orders.push(request.url());
    });
    await ui.isolate("to be taken back");
    await expect(ui.outgoing).toContainText(/Isolating web-01 in \d s/);
    await expect(ui.outgoing.getByRole("button", { name: "Undo" })).toBeFocused();
    await expectAccessible(page, "page with an order that leaves");
    // axe takes longer than the time to undo: what it looked at was sent or not; a second one is taken back.
    await expect(ui.outgoing).toHaveCount(0);
    await ui.expectVerified();
    await ui.release();
    await ui.expectConnected();
    await expect(ui.commands).toHaveCount(earlier + 2);
    orders.length = 0;

    await ui.isolate("taken back");
    await ui.outgoing.getByRole("button", { name: "Undo" }).click();
    await expect(ui.outgoing).toHaveCount(0);
    await expect(page.getByText("Nothing was sent to web-01.")).toBeAttached();
    await page.waitForTimeout(6_000);
    expect(orders).toEqual([]);
    await expect(ui.commands).toHaveCount(earlier + 2);
    await ui.expectConnected();
  });

  test("the order stays in sight on other pages, Escape does not send it, and Now does", async ({ page }) => {
    const ui = new Console(page);
    await ui.open("web-01");
    await ui.isolate("sent from another page");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Batches" }).click();
    await expect(page.getByRole("heading", { name: "Batches", level: 1 })).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(ui.outgoing).toContainText("Isolating web-01");
    await ui.outgoing.getByRole("button", { name: "Now" }).click();
    await expect(ui.outgoing).toContainText(/Isolate: command \d+ accepted/);
    await ui.outgoing.getByRole("button", { name: "Dismiss" }).click();
    await expect(ui.outgoing).toHaveCount(0);
    await ui.open("web-01");
    await ui.expectVerified();
  });

  test("leaving the tab is warned of and sends nothing", async ({ page, lab }) => {
    const ui = new Console(page);
    await ui.open("web-01");
    await ui.isolate("the tab is closed");
    let warned = false;
    page.on("dialog", (dialog) => {
      warned = dialog.type() === "beforeunload";
      void dialog.accept();
    });
    await page.goto("/commands");
    expect(warned).toBe(true);
    await page.waitForTimeout(6_000);
    await ui.open("web-01");
    await ui.expectConnected();
    expect(lab.ruleset("web-01")).not.toContain("voltaxe_isolation");
  });

  test("a refused order comes back as it was written", async ({ page, context, expectedErrors }) => {
    expectedErrors.push(/status of 401/, /401.*\/events/);
    const ui = new Console(page);
    await ui.open("web-01");
    await ui.isolate("signed out meanwhile");
    await context.clearCookies();
    await ui.outgoing.getByRole("button", { name: "Now" }).click();
    await expect(ui.dialog).toContainText("You are signed out.");
    await expect(ui.dialog.getByLabel("Reason")).toHaveValue("signed out meanwhile");
    await expect(ui.snapshot).not.toBeChecked();
  });
});

test("a snapshot is ordered with the isolation, and arrives although the host is isolated", async ({ page }) => {
  test.setTimeout(180_000);
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await ui.dialog.getByLabel("Ticket").fill("INC-7");
  await ui.dialog.getByLabel("Reason").fill("with a snapshot");
  await expect(ui.snapshot).toBeChecked();
  await ui.submit("Isolate").click();
  await ui.expectVerified();
  await expect(page.getByRole("region", { name: "Isolation" })).toContainText(/Its snapshot is command \d+\./);
  await expect(ui.commands.nth(0)).toContainText("[INC-7] with a snapshot");
  const snapshot = ui.commands.filter({ hasText: "Collect evidence" }).first();
  await expect(snapshot).toContainText("Executed", { timeout: 120_000 });
  await ui.expectVerified();
  await snapshot.getByRole("link", { name: "Evidence" }).click();
  await expect(page.getByRole("main")).toContainText("Stored", { timeout: 60_000 });
  await page.getByRole("searchbox", { name: "Filter the tables" }).fill("sockets");
  const files = page.getByRole("table", { name: "Files" });
  await expect(files.getByRole("row").filter({ hasText: "processes" })).toHaveCount(0);
  await expect(files.getByRole("row").filter({ hasText: "sockets" }).first()).toBeVisible();
});

test("an order for an offline host says until when it waits, is taken back at the badge, and is given again", async ({ page, lab }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  lab.stopAgent("web-01");
  await expect(ui.connection).toHaveText("Offline");
  await ui.orderButton("Isolate").click();
  await expect(ui.dialog).toContainText(/web-01 is offline\. .* expires in 7 days, at\s+\d{4}-\d\d-\d\d [\d:]+ UTC/);
  await expect(ui.dialog).toContainText("it cannot be asked what will drop");
  await page.keyboard.press("Escape");
  await ui.isolate("while it is away");
  await expect(ui.badge).toContainText("Isolation queued");
  await page.getByRole("button", { name: "Cancel isolation" }).click();
  await expect(ui.commands.first()).toContainText("Cancelled");
  await expect(page.getByRole("button", { name: "Cancel isolation" })).toHaveCount(0);

  const id = (await ui.commands.first().getByRole("heading").innerText()).match(/#(\d+)/)![1];
  await ui.commands.first().getByRole("button", { name: `Retry command ${id}` }).click();
  await expect(ui.commands.first()).toContainText(`Retry of #${id}: while it is away`);
  lab.startAgent("web-01");
  await ui.expectVerified();
  await ui.release();
  await ui.expectConnected();
});

test("a session that ends in mid-dialog loses nothing, and the order is one command", async ({ page, context, expectedErrors }) => {
  expectedErrors.push(/status of 401/, /401.*\/events/);
  const ui = new Console(page);
  await ui.open("web-01");
  const earlier = await ui.commands.count();
  await ui.orderButton("Isolate").click();
  await ui.dialog.getByLabel("Reason").fill("written before the session ended");
  await ui.snapshot.uncheck();
  await context.clearCookies();
  await ui.submit("Isolate").click();
  await expect(ui.dialog).toContainText("You are signed out. Sign in again, then retry.");
  const [tab] = await Promise.all([
    context.waitForEvent("page"),
    ui.dialog.getByRole("link", { name: "Sign in in another tab" }).first().click(),
  ]);
  await new Console(tab).fillSignIn();
  await expect(tab.getByRole("heading", { name: "Endpoints" })).toBeVisible();
  await tab.close();
  await expect(ui.dialog.getByLabel("Reason")).toHaveValue("written before the session ended");
  await ui.submit("Isolate").dblclick();
  await expect(ui.dialog).toBeHidden();
  await page.reload();
  await ui.expectVerified();
  await expect(ui.commands).toHaveCount(earlier + 1);
});
