// Between tests: the host is connected, not isolated, and nothing is under way.

import { expect, type Page } from "@playwright/test";
import { Console } from "./console.ts";
import { type Host, type Lab } from "./lab.ts";

export interface Telemetry {
  hostname: string;
  connected: boolean;
  /** Null until the host has reported. */
  isolated: boolean | null;
  observed_at: string | null;
}

/** The seed's `GET /telemetry`: the latest of a host. */
export async function telemetry(page: Page, host: Host): Promise<Telemetry> {
  const answer = await page.request.get("/telemetry");
  expect(answer.status()).toBe(200);
  const found = ((await answer.json()) as Telemetry[]).find((one) => one.hostname === host);
  if (!found) throw new Error(`/telemetry does not name ${host}`);
  return found;
}

/** Signs in, and brings the hosts into the state that every test starts from. */
export async function settle(page: Page, lab: Lab, ...hosts: Host[]): Promise<void> {
  await new Console(page).signIn();
  for (const host of hosts) {
    const started = lab.attempt(["agent-start", host]);
    if (started.status !== 0) expect(started.stderr).toContain("is running already");
  }
  for (const host of hosts) await settleHost(page, lab, host);
}

async function settleHost(page: Page, lab: Lab, host: Host): Promise<void> {
  const isolated = async (): Promise<boolean | null> => {
    const latest = await telemetry(page, host);
    return latest.connected ? latest.isolated : null;
  };
  await expect.poll(isolated, { timeout: 30_000 }).not.toBeNull();
  if (await isolated()) {
    const answer = await page.request.post("/api/restore", {
      data: { hostname: host, reason: "the investigation is over" },
      headers: { Origin: lab.url },
    });
    expect(answer.ok(), await answer.text()).toBe(true);
  }
  await expect.poll(isolated, { timeout: 30_000 }).toBe(false);
}
