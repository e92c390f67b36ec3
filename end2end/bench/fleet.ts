// A simulated fleet beside the lab's hosts, by voltaxe-load.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { ADMIN } from "../support/console.ts";
import { type Lab, ROOT } from "../support/lab.ts";

const LOAD = path.join(ROOT, "target/release/voltaxe-load");

/** Enrols `agents` simulated hosts and makes the operator who looks at them. */
export function populate(lab: Lab, agents: number): string {
  lab.admin(["create-operator", "--username", ADMIN.username, "--role", "admin", "--password-file", "-"], ADMIN.password);
  // A token enrols at most so many; the fleet is divided equally among them.
  const tokens = Math.ceil(agents / 1_000);
  const token = (): string => lab.admin(["enrolment-token", "--label", "bench", "--uses", String(Math.ceil(agents / tokens))]);
  const strings = Array.from({ length: tokens }, token).join("");
  const file = path.join(lab.state, "fleet.json");
  const words = ["populate", "--server", lab.url, "--agents", String(agents), "--fleet", file];
  execFileSync(LOAD, words, { input: strings, stdio: ["pipe", "ignore", "inherit"] });
  return file;
}

/** Every agent reports once a second: as many changes a second as there are agents. Ends with `stop`. */
export class Reporting {
  private readonly child: ChildProcess;

  constructor(lab: Lab, file: string, seconds: number) {
    const words = ["idle", "--server", lab.url, "--fleet", file, "--seconds", String(seconds), "--telemetry-every-ms", "1000"];
    this.child = spawn(LOAD, words, { stdio: "ignore" });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    await ended;
  }
}
