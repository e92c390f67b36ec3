// Other systems are told what happens, and the page says what became of it.

import { createHmac } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, expectAccessible, screenshot, test as base } from "../support/fixtures.ts";
import { Console, VIEWER } from "../support/console.ts";

interface Received {
  headers: http.IncomingHttpHeaders;
  text: string;
}

class Receiver {
  readonly received: Received[] = [];
  status = 204;
  private readonly server = http.createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      this.received.push({ headers: request.headers, text });
      response.writeHead(this.status).end(this.status === 204 ? undefined : "<b>out of order</b>");
    });
  });

  async start(): Promise<void> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
  }

  stop(): void {
    this.server.close();
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/hook`;
  }
}

const test = base.extend<{ receiver: Receiver }>({
  receiver: async ({}, use) => {
    const receiver = new Receiver();
    await receiver.start();
    await use(receiver);
    receiver.stop();
  },
});

test("a webhook is made, tested, fails, is retried, paused and deleted", async ({ page, receiver }) => {
  const ui = new Console(page);
  await ui.signIn();
  await page.goto("/webhooks");
  await expect(page.getByText("There is no webhook yet.")).toBeVisible();
  await page.getByRole("button", { name: "New webhook" }).click();
  await ui.dialog.getByLabel("Name").fill("pager");
  await ui.dialog.getByLabel("Address").fill(receiver.url);
  await expect(ui.dialog.getByLabel("A host waits for approval")).toBeChecked();
  await ui.dialog.getByLabel("A host has carried out a command").check();
  await expectAccessible(page, "webhook dialog");
  await ui.dialog.getByRole("button", { name: "Save webhook" }).click();
  await expect(ui.dialog).toBeHidden();
  const secret = (await page.getByRole("group", { name: "the webhook's secret" }).innerText()).trim();
  expect(secret).toMatch(/^whsec_\S{44}$/);
  await page.getByRole("button", { name: "It is kept" }).click();
  await expect(page.getByText("whsec_")).toHaveCount(0);

  const hook = page.getByRole("region", { name: "pager" });
  await hook.getByRole("button", { name: "Test pager" }).click();
  await hook.getByRole("button", { name: "Deliveries of pager" }).click();
  const sent = hook.getByRole("row").filter({ hasText: "webhook.test" });
  await expect(sent).toContainText("Delivered by attempt 1", { timeout: 15_000 });
  const { headers, text } = receiver.received[0];
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
  expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  await expectAccessible(page, "webhooks");
  await screenshot(page, "webhooks");

  receiver.status = 500;
  await hook.getByRole("button", { name: "Test pager" }).click();
  const waiting = hook.getByRole("row").filter({ hasText: "<b>out of order</b>" });
  await expect(waiting).toContainText(/Waiting: attempt \d at .* UTC/, { timeout: 15_000 });
  receiver.status = 204;
  await waiting.getByRole("button", { name: "Retry now" }).click();
  await expect(hook.getByRole("row").filter({ hasText: /Delivered by attempt [2-9]/ })).toBeVisible({ timeout: 15_000 });

  await hook.getByRole("button", { name: "Pause pager" }).click();
  await expect(hook).toContainText("Paused");
  await hook.getByText("Delete pager…").click();
  await hook.getByRole("button", { name: "Delete pager" }).click();
  await expect(page.getByText("There is no webhook yet.")).toBeVisible();
});

test.describe("refused", () => {
  test.use({ expectedErrors: [/status of (403|422)/] });

  test("an address that only the server reaches is refused at its field", async ({ page }) => {
    const ui = new Console(page);
    await ui.signIn();
    await page.goto("/webhooks");
    await page.getByRole("button", { name: "New webhook" }).click();
    await ui.dialog.getByLabel("Name").fill("metadata");
    await ui.dialog.getByLabel("Address").fill("http://169.254.169.254/latest/");
    await ui.dialog.getByRole("button", { name: "Save webhook" }).click();
    await expect(ui.dialog.getByText(/is not a public address; --webhook-allow-network can name its network/)).toBeVisible();
    await expect(ui.dialog.getByLabel("Address")).toBeFocused();
  });

  test.describe("for viewers", () => {
    test.use({ storageState: { cookies: [], origins: [] } });

    test("webhooks are for administrators", async ({ page }) => {
      await new Console(page).signIn(VIEWER);
      await page.goto("/webhooks");
      await expect(page.getByText("This needs the role admin.")).toBeVisible();
    });
  });
});
