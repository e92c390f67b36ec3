// Who gets in, and what a viewer may not do.

import { expect, test } from "../support/fixtures.ts";
import { ADMIN, Console, VIEWER } from "../support/console.ts";
import type { Lab } from "../support/lab.ts";
import { settle } from "../support/settle.ts";

// Chromium writes a line for every answer of 400 and above.
const answers = (...statuses: number[]): RegExp => new RegExp(`status of (${statuses.join("|")})`);

test.describe("refused", () => {
  test.use({ expectedErrors: [answers(401, 403)] });

  test("a wrong password is refused in words that do not say which part was wrong", async ({ page }) => {
    const ui = new Console(page);
    await page.goto("/login");
    for (const operator of [{ ...ADMIN, password: "not the password" }, { username: "nobody", password: "not the password" }]) {
      await ui.fillSignIn(operator);
      await expect(page.getByText("Username or password is wrong.")).toBeVisible();
    }
    await ui.fillSignIn(ADMIN);
    await expect(page.getByRole("heading", { name: "Endpoints" })).toBeVisible();
  });

  test("the API answers a viewer's isolate with 403, and a request without a session with 401", async ({ page, lab, playwright }) => {
    ensureViewer(lab);
    await new Console(page).signIn(VIEWER);
    const order = { data: { hostname: "web-01", reason: "not allowed" }, headers: { Origin: lab.url } };
    expect((await page.request.post("/api/isolate", order)).status()).toBe(403);
    const stranger = await playwright.request.newContext({ baseURL: lab.url });
    expect((await stranger.post("/api/isolate", order)).status()).toBe(401);
    await stranger.dispose();
    const foreign = { ...order, headers: { Origin: "https://attacker.example" } };
    expect((await page.request.post("/api/isolate", foreign)).status()).toBe(403);
  });
});

test("without a session every page leads to the sign-in page, and back after it", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
  await new Console(page).fillSignIn(ADMIN);
  await expect(page.getByRole("heading", { name: "Endpoints" })).toBeVisible();
});

test("signing out ends the session on the server too", async ({ page, context }) => {
  await new Console(page).signIn();
  const cookies = await context.cookies();
  const session = cookies.find(({ name }) => name === "__Host-voltaxe")!;
  expect(session).toMatchObject({ httpOnly: true, secure: true, sameSite: "Strict" });
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
  await context.addCookies([session]);
  await page.goto("/");
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
});

test("a viewer sees the hosts and cannot isolate", async ({ page, lab, expectedErrors }) => {
  // The page that loses its session here may open its subscription just then.
  expectedErrors.push(/401.*\/events/);
  ensureViewer(lab);
  await settle(page, lab, "web-01");
  // What the page asks for just then would be refused.
  await page.goto("about:blank");
  await page.context().clearCookies();
  const ui = new Console(page);
  await ui.signIn(VIEWER);
  await ui.open("web-01");
  await ui.expectConnected();
  await expect(ui.orderButton("Isolate")).toBeDisabled();
  await expect(page.getByText("This needs the role responder; you are signed in as viewer.")).toHaveCount(3);
  await ui.orderButton("Isolate").click({ force: true });
  await expect(ui.dialog).toBeHidden();
  await expect(ui.channels.getByRole("button", { name: "Check delivery" })).toBeDisabled();

  await page.goto("/");
  await page.getByRole("checkbox", { name: "Select web-01" }).check();
  await expect(page.getByRole("button", { name: "Isolate selected (1)" })).toBeDisabled();
  await expect(page.getByText("This needs the role responder; you are signed in as viewer.")).toBeVisible();
  await page.goto("/schedules");
  await expect(page.getByRole("button", { name: "New schedule" })).toBeDisabled();
});

/** The second run of a file, with --repeat-each for example, finds the viewer there already. */
function ensureViewer(lab: Lab): void {
  const words = ["admin", "create-operator", "--username", VIEWER.username, "--role", "viewer", "--password-file", "-"];
  const answer = lab.attempt(words, VIEWER.password);
  if (answer.status !== 0) expect(answer.stderr).toContain("exists");
}
