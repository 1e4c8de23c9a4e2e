import { defineConfig } from "@playwright/test";

// Two people, or two copies of the repository, on one machine: one of them takes another port.
const port = Number(process.env["PINHOLE_VIZ_PORT"] ?? "4655");

export default defineConfig({
  testDir: "e2e",
  timeout: 60_000,
  fullyParallel: true,
  workers: 2,
  reporter: [["list"]],
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--headless", "--no-sandbox", "--disable-gpu"],
    },
  },
  webServer: { command: `node e2e/serve.mjs ${port}`, port, reuseExistingServer: false },
});
