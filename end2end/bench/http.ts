// A click without a browser: the two HTTP connections that the page holds.

import http from "node:http";
import readline from "node:readline";
import type { Lab } from "../support/lab.ts";

interface EndpointEvent {
  hostname: string;
  observed: { state: string } | null;
}

export interface Order {
  answered: number;
  told: number;
}

/** One watcher of `/events`, and one kept-alive connection for orders. */
export class HttpOperator {
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  private watcher: http.ClientRequest | undefined;
  private closing = false;
  private onEndpoint: (event: EndpointEvent) => void = () => {};

  constructor(
    private readonly lab: Lab,
    private readonly cookie: string,
  ) {}

  async watch(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const headers = { cookie: this.cookie, accept: "text/event-stream", "sec-fetch-site": "same-origin" };
      this.watcher = http.get(`${this.lab.url}/events`, { headers }, (response) => {
        if (response.statusCode !== 200) {
          reject(new Error(`/events answered ${response.statusCode}`));
          return;
        }
        let name = "";
        const lines = readline.createInterface({ input: response });
        // It passes the response's errors on; the one that `close` brings about is none.
        lines.on("error", (error) => {
          if (!this.closing) throw error;
        });
        lines.on("line", (line) => {
          if (line.startsWith("event:")) name = line.slice(6).trim();
          else if (line.startsWith("data:") && name === "endpoint") this.onEndpoint(JSON.parse(line.slice(5)) as EndpointEvent);
        });
        resolve();
      });
      this.watcher.on("error", (error) => (this.closing ? undefined : reject(error)));
    });
  }

  /** Milliseconds from the request to its answer, and until an event shows that `hostname` observed `wanted`. */
  async order(path: "/api/isolate" | "/api/restore", hostname: string, wanted: string): Promise<Order> {
    const body = JSON.stringify({ hostname, reason: "bench" });
    const shown = new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no event showed ${hostname} ${wanted} within 10 s`)), 10_000);
      this.onEndpoint = (event) => {
        if (event.hostname !== hostname || event.observed?.state !== wanted) return;
        clearTimeout(timer);
        resolve(performance.now());
      };
    });
    const start = performance.now();
    const [told, answered] = await Promise.all([shown, this.post(path, body)]);
    return { answered: answered - start, told: told - start };
  }

  close(): void {
    this.closing = true;
    this.watcher?.destroy();
    this.agent.destroy();
  }

  private post(path: string, body: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = {
        cookie: this.cookie,
        origin: this.lab.url,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      const request = http.request(this.lab.url + path, { method: "POST", agent: this.agent, headers }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk));
        response.on("end", () => (response.statusCode! < 300 ? resolve(performance.now()) : reject(new Error(`${path}: ${response.statusCode} ${text}`))));
      });
      request.on("error", reject);
      request.end(body);
    });
  }
}
