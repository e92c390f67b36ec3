import { expect, type Page } from "@playwright/test";

/** Presses Tab until the element with this role and name has the focus. */
export async function tabTo(page: Page, role: "button" | "link", name: string): Promise<void> {
  const scope = (await page.getByRole("dialog").count()) > 0 ? page.getByRole("dialog") : page;
  const wanted = scope.getByRole(role, { name, exact: true });
  await expect(wanted).toBeVisible();
  for (let presses = 0; presses < 60; presses++) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`60 presses of Tab do not reach the ${role} "${name}"`);
}
