// What a host says of itself is text, whatever it is: no script runs, no dialog opens, nothing grows out of the page.

import { expect, test } from "../support/fixtures.ts";
import { Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";

/** As the name of a process: the kernel keeps 15 bytes of it, the command line is longer. */
const MARKUP = `</script><script>window.owned=1</script><img src=x onerror="window.owned=1">`;
const BIDI = "\u202egpj.exe";

test.beforeEach(async ({ page, lab }) => {
  await settle(page, lab, "web-01");
});

test("a process with markup for a command line is listed as text", async ({ page, lab }) => {
  const opened: string[] = [];
  page.on("dialog", (dialog) => {
    opened.push(dialog.message());
    void dialog.dismiss();
  });
  const line = `${MARKUP}${BIDI}${"W".repeat(3_000)}`;
  const quoted = `'${line.replaceAll("'", `'\\''`)}'`;
  const started = lab.onHost("web-01", `setsid bash -c 'exec -a "$0" sleep 300' ${quoted} </dev/null >/dev/null 2>&1 & echo $!`);
  expect(started.status, started.stderr).toBe(0);

  await new Console(page).open("web-01");
  await page.getByRole("link", { name: "Processes", exact: true }).click();
  const row = page.getByRole("row").filter({ hasText: "window.owned=1" }).first();
  await expect(row).toBeVisible({ timeout: 20_000 });
  await expect(row).toContainText("</script><script>");
  await expect(row).toContainText("\\u{202e}gpj.exe");
  expect(await page.content(), "no control that turns writing round").not.toContain("\u202e");

  for (const path of ["/", page.url(), "/commands"]) {
    await page.goto(path);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(overflow, `${path}, ${width} px wide, scrolls sideways`).toBeLessThanOrEqual(0);
    }
    expect(await page.evaluate(() => "owned" in window), `${path}: a script of the host ran`).toBe(false);
    await expect(page.locator('img[src="x"]')).toHaveCount(0);
  }
  expect(opened).toEqual([]);
});
