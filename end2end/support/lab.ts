// The machines of a test run: network namespaces with real agents and one server, by scripts/lab.sh.

import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const HOSTS = ["web-01", "web-02", "db-01"] as const;
export type Host = (typeof HOSTS)[number];

export interface Answer {
  status: number;
  stdout: string;
  stderr: string;
}

export class Lab {
  readonly state: string;
  readonly number: number;
  readonly port: number;

  private constructor(state: string, number: number, port: number) {
    this.state = state;
    this.number = number;
    this.port = port;
  }

  /** Builds the network in a fresh state directory, on the first subnet that no other run uses. */
  static async create(): Promise<Lab> {
    const state = fs.mkdtempSync(path.join(os.tmpdir(), "vx-"));
    fs.chmodSync(state, 0o711);
    const port = await freePort();
    let refusal = "";
    for (let number = 78; number < 88; number++) {
      const lab = new Lab(state, number, port);
      const answer = lab.attempt(["up"]);
      if (answer.status === 0) return lab;
      refusal = answer.stderr;
      if (!refusal.includes("is in use")) break;
    }
    fs.rmSync(state, { recursive: true, force: true });
    throw new Error(`the test network could not be made:\n${refusal}`);
  }

  /** The lab that the global setup made; known to every worker through the environment. */
  static current(): Lab {
    const words = process.env.VOLTAXE_LAB?.split(" ");
    if (words?.length !== 3) throw new Error("there is no lab: run through Playwright's global setup");
    return new Lab(words[0], Number(words[1]), Number(words[2]));
  }

  makeCurrent(): void {
    process.env.VOLTAXE_LAB = `${this.state} ${this.number} ${this.port}`;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get outside(): { v4: string; v6: string } {
    return { v4: `10.${this.number}.0.100`, v6: `fd${this.number}::100` };
  }

  private get env(): NodeJS.ProcessEnv {
    const hosts = HOSTS.map((host, index) => `${host}:${11 + index}`).join(" ");
    // The tests use the server's own Postgres, whatever the caller has.
    const { DATABASE_URL: _, ...inherited } = process.env;
    return {
      ...inherited,
      LAB_STATE: this.state,
      LAB_PREFIX: `vxt${this.number}`,
      LAB_NET: String(this.number),
      LAB_HOSTS: hosts,
      LAB_OWNER: String(process.env.VOLTAXE_LAB_OWNER ?? process.pid),
      VOLTAXE_PORT: String(this.port),
      // Receivers of webhooks are on this machine.
      VOLTAXE_WEBHOOK_ALLOW_NETWORK: "127.0.0.0/8",
    };
  }

  /** Runs a verb of lab.sh; never throws. */
  attempt(words: string[], stdin = ""): Answer {
    try {
      const stdout = execFileSync(path.join(ROOT, "scripts/lab.sh"), words, {
        env: this.env,
        input: stdin,
        encoding: "utf8",
        stdio: "pipe",
        timeout: 120_000,
      });
      return { status: 0, stdout, stderr: "" };
    } catch (error) {
      const { status, stdout, stderr } = error as { status: number | null; stdout: string; stderr: string };
      return { status: status ?? -1, stdout: stdout ?? "", stderr: stderr ?? String(error) };
    }
  }

  /** Runs a verb of lab.sh and returns what it printed; throws with its error text. */
  run(words: string[], stdin = ""): string {
    const answer = this.attempt(words, stdin);
    if (answer.status !== 0) {
      throw new Error(`lab.sh ${words.join(" ")} ended with ${answer.status}:\n${answer.stdout}${answer.stderr}`);
    }
    return answer.stdout;
  }

  admin(words: string[], stdin = ""): string {
    return this.run(["admin", ...words], stdin);
  }

  setupLink(): string {
    const link = this.admin(["setup-link"]).match(/http\S+/)?.[0];
    if (!link) throw new Error("voltaxe-server admin setup-link printed no link");
    return link;
  }

  /** Enrols by the command line, without the page. */
  enrol(host: Host): void {
    const token = this.admin(["enrolment-token", "--label", "e2e", "--uses", "1"]);
    this.run(["enrol", host], token);
  }

  startAgent(host: Host): void {
    this.run(["agent-start", host]);
  }

  stopAgent(host: Host, signal: "TERM" | "KILL" = "TERM"): void {
    this.run(["agent-stop", host, signal]);
  }

  /** Lets the agent hang: its connections stay open, and nothing is answered until it goes on. */
  hangAgent(host: Host): void {
    process.kill(this.agentPid(host), "SIGSTOP");
  }

  resumeAgent(host: Host): void {
    process.kill(this.agentPid(host), "SIGCONT");
  }

  private agentPid(host: Host): number {
    const file = path.join(this.state, "run", `agent-${host}.pid`);
    return Number(fs.readFileSync(file, "utf8").trim().split(/\s+/)[0]);
  }

  /** Runs a shell command on a host. */
  onHost(host: Host | "outside", command: string, stdin = ""): Answer {
    return this.attempt(["exec", host, "sh", "-c", command], stdin);
  }

  /** The same without blocking this process, for what runs beside something else. */
  onHostLater(host: Host | "outside", command: string): Promise<Answer> {
    return new Promise((resolve) => {
      execFile(
        path.join(ROOT, "scripts/lab.sh"),
        ["exec", host, "sh", "-c", command],
        { env: this.env, encoding: "utf8", timeout: 60_000 },
        (error, stdout, stderr) => resolve({ status: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
      );
    });
  }

  ruleset(host: Host): string {
    const answer = this.onHost(host, "nft list ruleset");
    if (answer.status !== 0) throw new Error(`nft list ruleset failed on ${host}: ${answer.stderr}`);
    return answer.stdout;
  }

  agentLog(host: Host): string {
    return this.log(`agent-${host}`);
  }

  log(name: string): string {
    const file = path.join(this.state, "log", `${name}.log`);
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  }

  hold(host: Host): Held {
    const script = path.join(ROOT, "scripts/lab/hold.py");
    const words = ["exec", host, "python3", script, this.outside.v4, this.outside.v6];
    return new Held(spawn(path.join(ROOT, "scripts/lab.sh"), words, { env: this.env, stdio: ["pipe", "pipe", "inherit"] }));
  }

  destroy(): void {
    this.run(["down"]);
    fs.rmSync(this.state, { recursive: true, force: true });
  }
}

export interface Held1 {
  answers: number;
  ticks: number;
  closed: string | null;
}
export type Counts = Record<string, Held1>;

/** Connections that a program on a host holds open, and what got through them. */
export class Held {
  private latest: Counts = {};
  private reports = 0;
  private wake: () => void = () => {};

  constructor(private readonly child: ChildProcess) {
    readline.createInterface({ input: child.stdout! }).on("line", (line) => {
      this.latest = JSON.parse(line) as Counts;
      this.reports++;
      this.wake();
    });
  }

  /** The counts after `more` further reports; the program reports every 100 ms. */
  async counts(more = 1): Promise<Counts> {
    const wanted = this.reports + more;
    while (this.reports < wanted) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("the program that holds connections went silent")), 10_000);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return structuredClone(this.latest);
  }

  end(): void {
    this.child.stdin!.end();
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
