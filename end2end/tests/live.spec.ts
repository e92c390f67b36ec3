// A lost live stream is said, and comes back by itself.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

test.use({
  // What Chromium writes while there is no server to talk to.
  expectedErrors: [/net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|FAILED)/],
});

test("a server that restarts: the page says that its data is old, then goes on where it was", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.isolate("before the restart");
  await ui.expectVerified();

  lab.run(["server-stop"]);
  await expect(page.getByText(/Live updates paused, data as of/)).toBeVisible({ timeout: 20_000 });
  await expect(ui.badge).toHaveText(/^Isolated · not verified since/);

  lab.run(["server-start"]);
  await expect(page.getByText(/Live updates paused/)).toHaveCount(0, { timeout: 30_000 });
  await expect(ui.connection).toHaveText("Online", { timeout: 45_000 });
  await ui.expectVerified();
  await ui.release("after the restart");
  await ui.expectConnected();
});

test("a server that is killed loses nothing it acknowledged", async ({ page, lab }) => {
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  lab.stopAgent("web-01");
  await expect(ui.connection).toHaveText("Offline");
  await ui.isolate("acknowledged before the kill");
  await expect(ui.badge).toContainText("Isolation queued");

  lab.run(["server-stop", "KILL"]);
  lab.run(["server-start"]);
  lab.startAgent("web-01");
  await expect(page.getByText(/Live updates paused/)).toHaveCount(0, { timeout: 30_000 });
  await ui.expectVerified();
  await expect(ui.commands.first()).toContainText("acknowledged before the kill");
});
