import { test } from "../support/fixtures.ts";
import { ADMIN, Console } from "../support/console.ts";
import { settle } from "../support/settle.ts";
test("debug", async ({ page, lab }) => {
  lab.admin(["create-operator", "--username", ADMIN.username, "--role", "admin", "--password-file", "-"], ADMIN.password);
  lab.enrol("web-01"); lab.startAgent("web-01");
  await settle(page, lab, "web-01");
  for (let i = 0; i < Number(process.env.PRE ?? 0); i++) {
    const want = i % 2 === 0; await page.request.post(want ? "/api/isolate" : "/api/restore", { data: { hostname: "web-01", reason: "bench" }, headers: { Origin: lab.url } });
    for (;;) { const t = (await (await page.request.get("/telemetry")).json()).find((x: any) => x.hostname === "web-01"); if (t.isolated === want) break; }
  }
  await page.addInitScript(() => {
    const log: any[] = (window as any).LOG = [];
    window.EventSource = class extends EventSource {
      constructor(u: any, o?: any) { super(u, o);
        for (const n of ["endpoint", "command"]) this.addEventListener(n, (e: any) => { const d = JSON.parse(e.data); log.push([performance.now(), n, d.observed?.state ?? d.state, d.observed?.received_at ?? d.executed_at, e.timeStamp]); });
      } };
    new PerformanceObserver((l) => l.getEntries().forEach((e) => log.push([e.startTime, "longtask", e.duration]))).observe({ type: "longtask" });
  });
  const ui = new Console(page);
  await ui.open("web-01"); await page.reload();
  for (let i = 0; i < 12; i++) {
    const verb = i % 2 ? "Release" : "Isolate";
    await ui.orderButton(verb).click();
    await ui.dialog.getByLabel("Reason").fill("bench");
    const s = (await ui.submit(verb).elementHandle())!;
    const out = await page.evaluate(async (s) => { const log = (window as any).LOG; log.length = 0; performance.clearResourceTimings();
      const t0 = performance.now(); (s as any).click(); const t1 = performance.now();
      await new Promise((r) => setTimeout(r, 600));
      const o = performance.getEntriesByType("resource").filter((e) => e.name.includes("/rpc/")) as any[];
      return { clickTook: t1 - t0, rpc: o.map((e) => [e.name.slice(-8), e.requestStart - t0, e.responseStart - t0, e.responseEnd - t0]), log: log.map((l: any) => [l[0] - t0, l[1], l[2], l[3] ? l[3] - performance.timeOrigin - t0 : null, l[4] ? l[4] - t0 : null]) };
    }, s);
    console.log(JSON.stringify({ events: out.log.length, first: out.log[0]?.[0], told: out.log.find((l: any) => l[1] === "endpoint" && l[2] === (i % 2 ? "not_isolated" : "isolated"))?.[0], received: out.log.at(-1)?.[3], last: out.log.at(-1)?.[0], li: await page.locator("li").count() }));
  }
});
