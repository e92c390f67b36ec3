// A click in Chromium, with the moments between it and the badge. The functions that take no Page run in the page.

import { expect, type Page } from "@playwright/test";
import { Console } from "../support/console.ts";

/** Milliseconds since the click. */
export interface Click {
  /** The answer to the order has arrived: it is on the server's disk. */
  answered: number;
  /** The event that tells of the host's observation has arrived. */
  told: number;
  /** The badge says it. */
  shown: number;
}

interface Watched {
  voltaxeTold?: { state: string; at: number }[];
}

/** To be called before the page loads. */
export async function watchEvents(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const told: { state: string; at: number }[] = [];
    (window as Watched).voltaxeTold = told;
    window.EventSource = class extends EventSource {
      constructor(url: string | URL, options?: EventSourceInit) {
        super(url, options);
        this.addEventListener("endpoint", ({ data }: MessageEvent<string>) => {
          const { observed } = JSON.parse(data) as { observed: { state: string } | null };
          told.push({ state: observed?.state ?? "", at: performance.now() });
        });
      }
    };
  });
}

/** Opens the dialog, writes the reason, and measures from the click on the dialog's button. */
export async function click(page: Page, verb: "Isolate" | "Release"): Promise<Click> {
  const ui = new Console(page);
  const [word, state] = verb === "Isolate" ? ["Isolated", "isolated"] : ["Connected", "not_isolated"];
  await ui.orderButton(verb).click();
  await ui.dialog.getByLabel("Reason").fill("bench");
  if (verb === "Isolate") await ui.snapshot.uncheck();
  const badge = (await ui.badge.elementHandle())!;
  const submit = (await ui.submit(verb).elementHandle())!;
  const measured = await page.evaluate(clickAndWatch, { badge, submit, word, state });
  await expect(ui.badge).toHaveText(new RegExp(`^${word}`));
  await expect(ui.dialog).toBeHidden();
  return measured;
}

function clickAndWatch(wanted: { badge: Node; submit: Node; word: string; state: string }): Promise<Click> {
  const { badge, submit, word, state } = wanted;
  const told = (window as Watched).voltaxeTold!;
  told.length = 0;
  performance.clearResourceTimings();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the badge says "${badge.textContent}" after 10 s`)), 10_000);
    let start = 0;
    const observer = new MutationObserver(() => {
      if (!badge.textContent!.trim().startsWith(word)) return;
      const shown = performance.now() - start;
      clearTimeout(timer);
      observer.disconnect();
      // The order's answer may still be under way: the event can be faster.
      const finish = (): void => {
        const order = performance.getEntriesByType("resource").find(({ name }) => /\/rpc\/order/.test(name));
        if (!order) return void setTimeout(finish, 1);
        const event = told.find((one) => one.state === state);
        resolve({ answered: (order as PerformanceResourceTiming).responseEnd - start, told: (event?.at ?? NaN) - start, shown });
      };
      finish();
    });
    observer.observe(badge, { subtree: true, childList: true, characterData: true });
    start = performance.now();
    (submit as HTMLButtonElement).click();
  });
}
