// The live streams that a page holds, and whether somebody looks at it.

import type { Page } from "@playwright/test";

interface Watched {
  voltaxeSources?: EventSource[];
}

/** To be called before the page loads. */
export async function watchSources(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const sources: EventSource[] = [];
    (window as Watched).voltaxeSources = sources;
    window.EventSource = class extends EventSource {
      constructor(url: string | URL, options?: EventSourceInit) {
        super(url, options);
        sources.push(this);
      }
    };
  });
}

/** What those ask for that are not closed. */
export async function openSources(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const open = (window as Watched).voltaxeSources!.filter(({ readyState }) => readyState !== EventSource.CLOSED);
    return open.map(({ url }) => new URL(url).searchParams.get("show") ?? "");
  });
}

/** Chromium without a window never hides a page: the page is told so. */
export async function hide(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((is) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (is ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, hidden);
}

/** Events as from the server, a thousand a second about one endpoint; answers how often the page was painted anew. */
export async function storm(page: Page, endpoint: object, seconds: number): Promise<number> {
  return page.evaluate(
    ({ endpoint, seconds }) =>
      new Promise<number>((resolve) => {
        const source = (window as Watched).voltaxeSources!.find(({ readyState }) => readyState === EventSource.OPEN)!;
        const last = seconds * 1_000;
        let [told, paints, isDirty] = [0, 0, false];
        const observer = new MutationObserver(() => (isDirty = true));
        observer.observe(document.querySelector("main")!, { subtree: true, childList: true, characterData: true });
        const began = performance.now();
        const frame = (): void => {
          if (isDirty) paints++;
          isDirty = false;
          if (told <= last) requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
        const timer = setInterval(() => {
          const due = Math.min(last, Math.floor(performance.now() - began));
          for (; told <= due; told++) {
            const data = JSON.stringify({ ...endpoint, os: `storm ${told}`, agent_version: `storm ${told}` });
            source.dispatchEvent(new MessageEvent("endpoint", { data }));
          }
          if (told > last) {
            clearInterval(timer);
            observer.disconnect();
            resolve(paints);
          }
        }, 4);
      }),
    { endpoint, seconds },
  );
}

/** The next `endpoint` event that the page hears. */
export async function nextEndpoint(page: Page): Promise<object> {
  return page.evaluate(
    () =>
      new Promise<object>((resolve) => {
        const source = (window as Watched).voltaxeSources!.find(({ readyState }) => readyState === EventSource.OPEN)!;
        const hear = ({ data }: MessageEvent<string>): void => resolve(JSON.parse(data) as object);
        source.addEventListener("endpoint", hear, { once: true });
      }),
  );
}
