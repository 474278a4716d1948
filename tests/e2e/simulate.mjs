// The simulated desk as a server of its own: callers come and go, people take them.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts it in `folder`; gives its address, a supervisor's name and password, and `stop`. */
export async function openDay(folder) {
  const desk = spawn(process.env.WARMLINE_BIN, ["simulate", "--agents", "2"], {
    stdio: ["ignore", "pipe", "ignore"],
    cwd: folder,
    env: { ...process.env, WARMLINE_SERVER__LISTEN: `127.0.0.1:${await freePort()}` },
  });
  let said = "";
  const [, url, name, password] = await new Promise((resolve, reject) => {
    desk.once("exit", (code) => reject(new Error(`the simulated desk ended with ${code}`)));
    desk.stdout.on("data", (data) => {
      said += data;
      const found = /Console +(http\S+)\/agent[\s\S]*Supervisor +(\S+), password (\S+)/.exec(said);
      if (found !== null) resolve(found);
    });
  });
  return { url, name, password, stop: () => desk.kill("SIGINT") };
}
