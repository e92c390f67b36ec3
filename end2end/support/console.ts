// The dashboard as an operator uses it: found by role and label, never by markup.

import { expect, type Locator, type Page } from "@playwright/test";
import type { Host } from "./lab.ts";

export interface Operator {
  username: string;
  password: string;
}

export const ADMIN: Operator = { username: "ada", password: "correct horse battery staple" };
export const VIEWER: Operator = { username: "vera", password: "a viewer looks and never touches" };

export const VERIFIED = /^Isolated · verified \d+ s ago$/;

export class Console {
  constructor(readonly page: Page) {}

  async signIn(operator: Operator = ADMIN): Promise<void> {
    await this.page.goto("/login");
    await this.fillSignIn(operator);
    await expect(this.page.getByRole("heading", { name: "Endpoints" })).toBeVisible();
  }

  async fillSignIn(operator: Operator = ADMIN): Promise<void> {
    await this.page.getByLabel("Username").fill(operator.username);
    await this.page.getByLabel("Password", { exact: true }).fill(operator.password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  row(host: Host): Locator {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("link", { name: host, exact: true }) });
  }

  async open(host: Host): Promise<void> {
    await this.page.goto("/");
    await this.page.getByRole("link", { name: host, exact: true }).click();
    await expect(this.page.getByRole("heading", { name: host, level: 1 })).toBeVisible();
  }

  get dialog(): Locator {
    return this.page.getByRole("dialog");
  }

  /** Opens the dialog, gives the reason, sends; without a snapshot. `releaseAfter`: a choice of the dialog, as "4 h". */
  async isolate(reason: string, releaseAfter?: string): Promise<void> {
    await this.order("Isolate", reason, releaseAfter);
  }

  async release(reason = "the test is over"): Promise<void> {
    await this.order("Release", reason);
  }

  private async order(verb: "Isolate" | "Release", reason: string, releaseAfter?: string): Promise<void> {
    await this.orderButton(verb).click();
    await this.dialog.getByLabel("Reason").fill(reason);
    if (verb === "Isolate") await this.snapshot.uncheck();
    if (releaseAfter) await this.dialog.getByLabel("Release automatically after").selectOption(releaseAfter);
    await this.submit(verb).click();
    await expect(this.dialog).toBeHidden();
  }

  orderButton(verb: "Isolate" | "Release"): Locator {
    return this.panel.getByRole("button", { name: `${verb} Endpoint` });
  }

  /** The dialog's own button, which carries the order out. */
  submit(verb: "Isolate" | "Release"): Locator {
    return this.dialog.getByRole("button", { name: new RegExp(`^${verb} `) });
  }

  /** The dialog's choice to collect a snapshot first. */
  get snapshot(): Locator {
    return this.dialog.getByRole("checkbox", { name: "Collect a snapshot first" });
  }

  /** The lines of confirmed orders that have not been sent yet. */
  get outgoing(): Locator {
    return this.page.getByRole("group", { name: "An order that leaves" });
  }

  private get panel(): Locator {
    return this.page.getByRole("region", { name: "Isolation" });
  }

  get channels(): Locator {
    return this.page.getByRole("region", { name: "Channels" });
  }

  /** When the isolation ends by itself, and its buttons. */
  get rollback(): Locator {
    return this.page.getByRole("group", { name: "Automatic release" });
  }

  /** On the list: ticks these hosts, and opens the dialog for them. */
  async selectAnd(verb: "Isolate" | "Release" | "Check", hosts: Host[]): Promise<void> {
    for (const host of hosts) await this.page.getByRole("checkbox", { name: `Select ${host}` }).check();
    await this.page.getByRole("button", { name: `${verb} selected (${hosts.length})` }).click();
    await expect(this.dialog.getByRole("heading", { level: 2 })).toContainText(verb);
  }

  /** On the page of a batch. */
  get progress(): Locator {
    return this.page.getByRole("region", { name: "Progress" });
  }

  get badge(): Locator {
    return this.panel.getByRole("paragraph").first();
  }

  get connection(): Locator {
    return this.page.getByRole("main").getByText(/^(Online|Offline)$/);
  }

  async expectVerified(): Promise<void> {
    await expect(this.badge).toHaveText(VERIFIED);
  }

  async expectConnected(): Promise<void> {
    await expect(this.badge).toHaveText("Connected");
  }

  /** The entries of the command timeline, newest first. */
  get commands(): Locator {
    const entry = { has: this.page.getByRole("heading", { level: 3 }) };
    return this.page.getByRole("region", { name: "Timeline" }).getByRole("listitem").filter(entry);
  }
}
