import fs from "node:fs";
import path from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test as base, type Page } from "@playwright/test";
import { Lab, ROOT } from "./lab.ts";

interface Fixtures {
  lab: Lab;
  /** Console errors this test brings about on purpose; everything else on the console fails it. */
  expectedErrors: RegExp[];
  /** The time to undo, as this browser keeps it; 0: a confirmed order is sent at once. */
  undoSeconds: number;
  watched: void;
}

export const test = base.extend<Fixtures>({
  lab: async ({}, use) => use(Lab.current()),
  baseURL: async ({}, use) => use(Lab.current().url),
  expectedErrors: async ({}, use) => use([]),
  undoSeconds: [0, { option: true }],
  watched: [
    async ({ context, expectedErrors, undoSeconds }, use) => {
      await context.addInitScript((seconds) => {
        // The first page of a tab is of no server and keeps nothing.
        if (location.protocol.startsWith("http")) localStorage.setItem("voltaxe.undo_seconds", String(seconds));
      }, undoSeconds);
      const errors: string[] = [];
      const note = (text: string): void => {
        if (!expectedErrors.some((expected) => expected.test(text))) errors.push(text);
      };
      const watch = (page: Page): void => {
        page.on("console", (message) => {
          const suspicious = message.type() === "error" || /hydrat|panicked/i.test(message.text());
          if (suspicious) note(`${message.text()} (${message.location().url})`);
        });
        page.on("pageerror", (error) => note(error.stack ?? error.message));
      };
      context.pages().forEach(watch);
      context.on("page", watch);
      await use();
      expect(errors, "errors on the browser's console").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

const WCAG_2_2_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const WIDTHS = [1280, 390];

/** axe on the page as it is, in light and dark, wide and narrow; also that nothing makes a narrow page scroll sideways. */
export async function expectAccessible(page: Page, what: string): Promise<void> {
  const before = page.viewportSize()!;
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: before.height });
      const { violations } = await new AxeBuilder({ page }).withTags(WCAG_2_2_AA).analyze();
      const found = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((n) => `  ${n.html}\n  ${n.failureSummary}`).join("\n")}`);
      expect.soft(found, `${what}, ${colorScheme}, ${width} px wide`).toEqual([]);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect.soft(overflow, `${what}, ${width} px wide, scrolls sideways by`).toBeLessThanOrEqual(0);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before);
}

/** Writes end2end/screenshots/NAME.png when the run was asked to renew them. */
export async function screenshot(page: Page, name: string, colorScheme: "light" | "dark" = "light"): Promise<void> {
  if (process.env.UPDATE_SCREENSHOTS !== "1") return;
  await page.emulateMedia({ colorScheme });
  const file = path.join(ROOT, "end2end/screenshots", `${name}.png`);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  await page.screenshot({ path: file, animations: "disabled", scale: "css" });
  await page.emulateMedia({ colorScheme: "light" });
}
