import fs from "node:fs";
import path from "node:path";
import { Lab, ROOT } from "./lab.ts";

/** Network, server and hosts of this run; taken down when it ends. Logs of a failed run stay in target/test-log. */
export default async function globalSetup(): Promise<() => void> {
  process.env.VOLTAXE_LAB_OWNER = String(process.pid);
  const lab = await Lab.create();
  lab.makeCurrent();
  let standing = true;
  const tearDown = (): void => {
    if (!standing) return;
    standing = false;
    const kept = path.join(ROOT, "target/test-log/lab");
    fs.rmSync(kept, { recursive: true, force: true });
    fs.cpSync(path.join(lab.state, "log"), kept, { recursive: true });
    lab.destroy();
  };
  // Playwright does not get to its teardown when it is told to end from outside.
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      tearDown();
      process.exit(1);
    });
  }
  try {
    lab.run(["server-start"]);
  } catch (error) {
    tearDown();
    throw error;
  }
  return tearDown;
}
