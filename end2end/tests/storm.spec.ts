// What the live stream brings: what the page shows, no faster than it can be read, and nothing to a tab that nobody looks at.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";
import { hide, nextEndpoint, openSources, storm, watchSources } from "../support/sources.ts";

test("a page subscribes to what it shows, and another page to what that shows", async ({ page, lab }) => {
  await watchSources(page);
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await page.goto("/");
  await expect.poll(() => openSources(page)).toEqual(["endpoints"]);
  await page.getByRole("link", { name: "web-01", exact: true }).click();
  await expect(page.getByRole("heading", { name: "web-01", level: 1 })).toBeVisible();
  await expect.poll(() => openSources(page)).toEqual([expect.stringMatching(/^endpoint:ep_[0-9a-f]{32}$/)]);
  await ui.isolate("is it told on this page?");
  await ui.expectVerified();
  await page.getByRole("link", { name: "Commands", exact: true }).click();
  await expect.poll(() => openSources(page)).toEqual(["commands"]);
  await page.goBack();
  await ui.release();
  await ui.expectConnected();
});

test("a tab that nobody looks at closes its stream, and goes on at once when somebody does", async ({ page, lab }) => {
  await watchSources(page);
  await settle(page, lab, "web-01");
  const ui = new Console(page);
  await ui.open("web-01");
  await expect(page.getByText(/^Live updates:\s*Live$/)).toBeVisible();
  await hide(page, true);
  await expect.poll(() => openSources(page), { timeout: 20_000 }).toEqual([]);
  const answer = await page.request.post("/api/isolate", {
    data: { hostname: "web-01", reason: "while nobody looks" },
    headers: { Origin: lab.url },
  });
  expect(answer.ok(), await answer.text()).toBe(true);
  await hide(page, false);
  await ui.expectVerified();
  await expect(page.getByText(/Live updates paused/)).toHaveCount(0);
  expect(await openSources(page)).toHaveLength(1);
  await ui.release();
  await ui.expectConnected();
});

test("a look away for a moment closes nothing", async ({ page, lab }) => {
  await watchSources(page);
  await settle(page, lab, "web-01");
  await new Console(page).open("web-01");
  await expect.poll(() => openSources(page)).toHaveLength(1);
  const opened = await page.evaluate(() => (window as { voltaxeSources?: EventSource[] }).voltaxeSources!.length);
  await hide(page, true);
  await page.waitForTimeout(2_000);
  await hide(page, false);
  await page.waitForTimeout(2_000);
  expect(await page.evaluate(() => (window as { voltaxeSources?: EventSource[] }).voltaxeSources!.length)).toBe(opened);
});

test("a storm of a thousand events a second is painted a few times, and its last state is shown", async ({ page, lab }) => {
  test.setTimeout(120_000);
  await watchSources(page);
  await settle(page, lab, "web-01");
  await page.goto("/");
  await expect(page.getByText(/^Live updates:\s*Live$/)).toBeVisible();
  const endpoint = (await nextEndpoint(page)) as { hostname: "web-01" | "web-02" | "db-01" };
  const paints = await storm(page, endpoint, 4);
  // Four a second, the clock's, and those before it was known for a storm.
  expect(paints).toBeLessThanOrEqual(4 * 4 + 4 + 20);
  await expect(new Console(page).row(endpoint.hostname)).toContainText("storm 4000");
});
