// The floor: what this machine's disk takes for the writes that a click cannot do without.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Lab } from "../support/lab.ts";

const ROUNDS = 300;

/** Milliseconds of each of 300 durable single-row commits, one after the other, on the server's own Postgres. */
export function commits(lab: Lab): number[] {
  const socket = socketDirectory(path.join(lab.state, "server"));
  const connection = ["-h", socket, "-U", "voltaxe"];
  const sql = (database: string, ...statements: string[]): string =>
    execFileSync("psql", [...connection, "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", "SET client_min_messages = warning", ...statements.flatMap((one) => ["-c", one])], {
      encoding: "utf8",
    }).trim();

  for (const setting of ["fsync", "synchronous_commit", "full_page_writes"]) {
    if (sql("voltaxe", `SHOW ${setting}`) !== "on") throw new Error(`${setting} is not on: this would be no floor`);
  }
  sql("voltaxe", "DROP DATABASE IF EXISTS voltaxe_bench", "CREATE DATABASE voltaxe_bench");
  const directory = fs.mkdtempSync(path.join(lab.state, "pgbench-"));
  try {
    sql("voltaxe_bench", "CREATE TABLE one_row (id bigserial PRIMARY KEY, data text NOT NULL)");
    fs.writeFileSync(path.join(directory, "insert.sql"), "INSERT INTO one_row (data) VALUES (repeat('x', 400));\n");
    const words = [...connection, "-n", "-M", "prepared", "-c", "1", "-t", String(ROUNDS), "-l", "-f", "insert.sql", "voltaxe_bench"];
    execFileSync(pgbench(), words, { cwd: directory, stdio: "pipe" });
    const log = fs.readdirSync(directory).find((name) => name.startsWith("pgbench_log"))!;
    // client, transaction, microseconds, ..
    return lines(path.join(directory, log)).map((line) => Number(line.split(" ")[2]) / 1000);
  } finally {
    fs.rmSync(directory, { recursive: true });
    sql("voltaxe", "DROP DATABASE voltaxe_bench");
  }
}

/** Milliseconds of each of 300 appends of 400 bytes with fdatasync, where the agent's journal lies. */
export function journalWrites(lab: Lab): number[] {
  const file = path.join(lab.state, "hosts/web-01/state/bench.journal");
  const record = Buffer.alloc(400, "x");
  const descriptor = fs.openSync(file, "a", 0o600);
  try {
    return Array.from({ length: ROUNDS }, () => {
      const start = performance.now();
      fs.writeSync(descriptor, record);
      fs.fdatasyncSync(descriptor);
      return performance.now() - start;
    });
  } finally {
    fs.closeSync(descriptor);
    fs.rmSync(file);
  }
}

export interface Stages {
  /** The click's commit, the push, the agent's journal and its receipt. */
  delivered: number[];
  /** From there to the result, as it arrived. */
  executed: number[];
}

/** What the server noted of the newest `count` isolate and restore commands, in milliseconds. */
export function stages(lab: Lab, count: number): Stages {
  const statement = `SELECT extract(epoch FROM delivered_at - created_at) * 1000, extract(epoch FROM executed_at - delivered_at) * 1000
    FROM commands WHERE status = 'executed' AND command IN ('network_isolate', 'network_restore') ORDER BY id DESC LIMIT ${count}`;
  const socket = socketDirectory(path.join(lab.state, "server"));
  const words = ["-h", socket, "-U", "voltaxe", "-d", "voltaxe", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement];
  const rows = execFileSync("psql", words, { encoding: "utf8" }).trim().split("\n").map((line) => line.split("|").map(Number));
  return { delivered: rows.map((row) => row[0]), executed: rows.map((row) => row[1]) };
}

function socketDirectory(directory: string): string {
  const found = fs.readdirSync(directory, { recursive: true, withFileTypes: true }).find((entry) => entry.name === ".s.PGSQL.5432");
  if (!found) throw new Error(`there is no socket of Postgres under ${directory}`);
  return found.parentPath;
}

function pgbench(): string {
  const onPath = (process.env.PATH ?? "").split(":").map((directory) => path.join(directory, "pgbench"));
  const root = "/usr/lib/postgresql";
  const debian = fs.existsSync(root) ? fs.readdirSync(root).map((version) => path.join(root, version, "bin/pgbench")) : [];
  const found = [...onPath, ...debian].find((file) => fs.existsSync(file));
  if (!found) throw new Error("pgbench is missing; it comes with PostgreSQL's server package");
  return found;
}

function lines(file: string): string[] {
  return fs.readFileSync(file, "utf8").trim().split("\n");
}
