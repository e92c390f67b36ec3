// One click isolates a real host, and releasing it leaves no trace.

import { type Answer, type Held, type Lab } from "../support/lab.ts";
import { expect, screenshot, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle, telemetry } from "../support/settle.ts";
import { tabTo } from "../support/keyboard.ts";

const LOOPBACK = `python3 - <<'END'
import socket, threading
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.create_server((address, 0), family=family)
    threading.Thread(target=lambda: server.accept()[0].sendall(b"ok")).start()
    client = socket.create_connection(server.getsockname()[:2], timeout=3)
    assert client.recv(2) == b"ok"
END`;

const REFUSED = 7;
const TIMED_OUT = 28;

const fetchOutside = (lab: Lab, address: string): Answer =>
  lab.onHost("web-01", `curl -g -sS -m 2 http://${address.includes(":") ? `[${address}]` : address}:8000/`);
const knockFromOutside = (lab: Lab, address: string): number =>
  lab.onHost("outside", `curl -g -sS -m 2 http://${address.includes(":") ? `[${address}]` : address}:80/`).status;

let held: Held | undefined;

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});
test.afterEach(() => {
  held?.end();
  held = undefined;
});

test("isolation cuts new and open connections over IPv4 and IPv6, keeps control, and leaves the rules as they were", async ({ page, lab }) => {
  const { v4, v6 } = lab.outside;
  const inside = { v4: `10.${lab.number}.0.11`, v6: `fd${lab.number}::11` };
  const ui = new Console(page);
  await ui.open("web-01");
  const before = lab.ruleset("web-01");
  expect(before).toContain("table inet host_firewall");
  for (const address of [v4, v6]) expect(fetchOutside(lab, address).stdout).toBe("hello from outside\n");
  for (const address of [inside.v4, inside.v6]) expect(knockFromOutside(lab, address)).toBe(REFUSED);
  held = lab.hold("web-01");
  await expect.poll(async () => Object.values(await held!.counts()).every((one) => one.answers > 3 && one.ticks > 3)).toBe(true);

  await ui.isolate("beaconing to an unknown host");
  await ui.expectVerified();
  await screenshot(page, "isolated");
  await screenshot(page, "isolated-dark", "dark");

  // What was under way when the kernel took the rules has settled with the first report; then nothing moves for 1 s.
  const atIsolation = await held.counts(2);
  const seenAtIsolation = seenOutside(lab);
  const [newV4, newV6] = [fetchOutside(lab, v4), fetchOutside(lab, v6)];
  expect(newV4.status, newV4.stderr).toBe(TIMED_OUT);
  expect(newV6.status, newV6.stderr).toBe(TIMED_OUT);
  for (const address of [inside.v4, inside.v6]) expect(knockFromOutside(lab, address)).toBe(TIMED_OUT);
  expect(await held.counts(10)).toEqual(atIsolation);
  expect(seenOutside(lab), "what reached the host outside").toEqual(seenAtIsolation);
  expect(lab.onHost("web-01", LOOPBACK).status, "loopback").toBe(0);

  // The control channel lives: the host goes on reporting, and the age of the verification goes back to nothing.
  const observed = (await telemetry(page, "web-01")).observed_at;
  await expect.poll(async () => (await telemetry(page, "web-01")).observed_at, { timeout: 30_000 }).not.toBe(observed);
  await ui.expectVerified();

  await ui.release();
  await ui.expectConnected();
  expect(lab.ruleset("web-01")).toBe(before);
  for (const address of [v4, v6]) expect(fetchOutside(lab, address).stdout).toBe("hello from outside\n");
  await expect(ui.commands.first()).toContainText("Release");
  await expect(ui.commands.first()).toContainText("Executed");
});

test("a double click is one command, and a reload shows the truth", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  const earlier = await ui.commands.count();
  await ui.orderButton("Isolate").click();
  await ui.dialog.getByLabel("Reason").fill("clicked twice");
  await ui.snapshot.uncheck();
  await ui.submit("Isolate").dblclick();
  await ui.expectVerified();
  await expect(ui.commands).toHaveCount(earlier + 1);

  await page.reload();
  await ui.expectVerified();
  await expect(ui.commands).toHaveCount(earlier + 1);
  await expect(ui.commands.first()).toContainText("clicked twice");
});

test("the dialog wants a reason and can be left with Escape", async ({ page }) => {
  const ui = new Console(page);
  await ui.open("web-01");
  await ui.orderButton("Isolate").click();
  await ui.submit("Isolate").click();
  await expect(ui.dialog.getByText("Write 3 to 500 characters.")).toBeVisible();
  await expect(ui.dialog.getByLabel("Reason")).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(ui.dialog).toBeHidden();
  await ui.expectConnected();
});

test("isolate and release with the keyboard alone", async ({ page }) => {
  const ui = new Console(page);
  await page.goto("/");
  await tabTo(page, "link", "web-01");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "web-01", level: 1 })).toBeVisible();
  await tabTo(page, "button", "Isolate Endpoint");
  await page.keyboard.press("Enter");
  await expect(ui.dialog.getByLabel("Reason")).toBeFocused();
  await page.keyboard.type("without a mouse");
  await tabTo(page, "button", "Isolate web-01");
  await page.keyboard.press("Space");
  await ui.expectVerified();

  await tabTo(page, "button", "Release Endpoint");
  await page.keyboard.press("Enter");
  await expect(ui.dialog.getByLabel("Reason")).toBeFocused();
  await page.keyboard.type("done");
  await tabTo(page, "button", "Release web-01");
  await page.keyboard.press("Enter");
  await ui.expectConnected();
});

/** The requests of the held connections that reached the host outside. */
function seenOutside(lab: Lab): string[] {
  return lab.log("outside").split("\n").filter((line) => line.startsWith("seen held-"));
}
