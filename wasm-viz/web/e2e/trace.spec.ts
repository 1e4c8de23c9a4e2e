// A trace of a real program on the page: opened, stepped through, refused where it is damaged.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Page, expect, test } from "@playwright/test";
import type { Refused } from "../src/core";
import type { Bare } from "./page";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const file = (name: string): string => new URL(`../../tests/traces/${name}.jsonl`, import.meta.url).pathname;
const text = (name: string): string => readFileSync(file(name), "utf8");

const listening = new WeakSet<Page>();

async function start(page: Page, fragment = ""): Promise<void> {
  // Who listens from the beginning misses no chooser.
  if (!listening.has(page)) page.on("filechooser", () => undefined);
  listening.add(page);
  await page.goto("about:blank");
  await page.goto(`/${fragment}`);
  await expect(page.locator("#where")).toBeVisible();
}

async function choose(page: Page, how: () => Promise<void>, files: string | { name: string; mimeType: string; buffer: Buffer }): Promise<void> {
  const chooser = page.waitForEvent("filechooser");
  await how();
  await (await chooser).setFiles(files);
}

const made = (content: string): { name: string; mimeType: string; buffer: Buffer } =>
  ({ name: "made.jsonl", mimeType: "text/plain", buffer: Buffer.from(content) });

async function open(page: Page, name: string, fragment = ""): Promise<void> {
  await start(page, fragment);
  await choose(page, () => page.locator("#trace").click(), file(name));
  await expect(page.locator("body")).toHaveAttribute("data-trace");
}

/** Every row of the ladder, by scrolling through it. */
async function rows(page: Page): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const list = page.locator(".rows");
  const height = await list.evaluate((element) => element.scrollHeight);
  for (let top = 0; top < height; top += 300) {
    await list.evaluate((element, to) => element.scrollTo(0, to), top);
    await expect.poll(() => list.evaluate((element) => Math.abs(element.scrollTop))).toBeGreaterThanOrEqual(0);
    const seen = await page.locator(".trace-row").evaluateAll((all) =>
      all.map((row) => [row.getAttribute("data-key") ?? "", row.className] as const));
    for (const [key, name] of seen) found.set(key, name);
  }
  return found;
}

test("every packet of a real trace is a row, and its octets are there", async ({ page }) => {
  for (const name of ["peer-udp", "peer-tcp", "server-udp"]) {
    await open(page, name);
    const lines = text(name).trim().split("\n").map((line) => JSON.parse(line) as Record<string, any>);
    const packets = lines.filter((line) =>
      line["in"]?.datagram !== undefined || line["out"]?.transmit !== undefined || line["out"]?.write !== undefined ||
      line["in"]?.stream?.received !== undefined || line["out"]?.dial !== undefined || line["in"]?.stream?.accepted !== undefined);
    const seen = Array.from((await rows(page)).values());
    expect(seen.filter((kind) => kind.includes("packet")).length, name).toBe(packets.length);
  }
  await open(page, "peer-udp");
  const first = page.locator(".trace-row.packet button").first();
  await first.click();
  await expect(page.locator("#bytes .field", { hasText: "transaction id" }).first()).toBeVisible();
  await expect(page.locator("#bytes")).toContainText("18.181.0.31:4653");
});

test("a trace is stepped through by keys, says what it lacks, and is closed again", async ({ page }) => {
  await start(page, "#v=1&s=f6-same-nat&i=7");
  const before = await page.locator("#where").innerText();
  await choose(page, () => page.keyboard.press("o"), file("peer-udp"));
  await expect(page.locator(".trace-facts li")).not.toHaveCount(0);
  await expect(page.locator(".trace-facts")).toContainText("keys");
  await page.keyboard.press("Home");
  await expect(page.locator("#where")).toContainText("1");
  const said: string[] = [];
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("ArrowRight");
    said.push(await page.locator("#receipt").innerText());
  }
  expect(new Set(said).size).toBeGreaterThan(6);
  await page.locator(".trace-row.packet button").last().click();
  await expect(page.locator("#bytes")).toContainText("keys");
  await page.keyboard.press("End");
  await expect(page.locator("#knows")).toContainText("138.76.29.7:22255");
  await expect(page.locator(".outcome.direct")).toBeVisible();
  for (const id of ["#tables", "#compare", "#predict", "#race", "#link"]) await expect(page.locator(id)).toBeHidden();
  // It has no IP headers, so there is no capture to be saved, by no way.
  await page.keyboard.press("e");
  await expect(page.locator("#export-text")).toBeVisible();
  await expect(page.locator("#export-pcapng")).toBeHidden();
  const why = page.evaluate(() => (window as unknown as Bare).pinhole.capture().then((file) => file.length, (refused: Refused) => refused.text.key));
  expect(await why).toBe("notice.trace.fixed");
  await page.keyboard.press("Escape");
  await page.locator("#trace").press("Enter");
  await expect(page.locator("body")).not.toHaveAttribute("data-trace");
  await expect(page.locator("#where")).toHaveText(before);
  await expect(page.locator("#tables")).toBeVisible();
});

test("a trace is opened by dropping it, and nothing leaves the machine", async ({ page }) => {
  await start(page);
  const requests: string[] = [];
  page.on("request", (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`));
  const data = await page.evaluateHandle((content) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], "dropped.jsonl"));
    return transfer;
  }, text("server-udp"));
  await page.dispatchEvent("body", "dragover", { dataTransfer: data });
  await expect(page.locator("body")).toHaveAttribute("data-drop");
  await page.dispatchEvent("body", "drop", { dataTransfer: data });
  await expect(page.locator("#map h2")).toContainText("dropped.jsonl");
  await expect(page.locator("body")).not.toHaveAttribute("data-drop");
  await page.keyboard.press("End");
  // What reads the file is fetched.
  expect(requests).toEqual([expect.stringMatching(/^GET \/assets\/files\.wasm-[^/]*\.pack$/)]);
  expect(page.url()).not.toContain("dropped");
});

test("a damaged trace gets a located message, and the page goes on", async ({ page }) => {
  const lines = text("peer-udp").trim().split("\n");
  const damaged = (at: number, line: string): string => lines.map((old, index) => (index === at ? line : old)).join("\n") + "\n";
  const at = lines.findIndex((line) => line.includes("\"transmit\""));
  for (const [content, said] of [
    ["", /line 1/],
    ["\u0000\u0001\u0002", /line 1/],
    ["<!doctype html>", /line 1.*column 1/],
    [damaged(0, "{\"trace\":\"pinhole/9\",\"engine\":\"peer\"}"), /line 1, trace.*pinhole\/9/],
    [damaged(9, "garbage"), /line 10.*column 1/],
    [damaged(at, (lines[at] ?? "").replace("18.181.0.31:4653", "18.181.0.31")), new RegExp(`line ${at + 1}, out.transmit.remote`)],
    [damaged(at, (lines[at] ?? "").replace("\"payload\":\"0", "\"payload\":\"")), new RegExp(`line ${at + 1}, out.transmit.payload`)],
    [damaged(30, "{\"t\":0,\"in\":\"timeout\"}"), /line 31, t/],
  ] as const) {
    await start(page);
    const where = await page.locator("#where").innerText();
    await choose(page, () => page.locator("#trace").click(), made(content));
    await expect(page.locator(".notice")).toContainText(said);
    await expect(page.locator(".notice")).toContainText("made.jsonl");
    await expect(page.locator("#where")).toHaveText(where);
    await page.keyboard.press("ArrowRight");
    await expect(page.locator("#where")).not.toHaveText(where);
  }
  await start(page);
  await choose(page, () => page.locator("#trace").click(), made(lines.join("\n").slice(0, -9)));
  await expect(page.locator("body")).toHaveAttribute("data-trace");
  await expect(page.locator(".notice")).toContainText(`line ${lines.length}`);
});

test("a long trace stays a small document and is opened at once", async ({ page }) => {
  const [header, ...lines] = text("peer-udp").trim().split("\n");
  const long = (count: number): string => {
    const all = [header];
    for (let round = 0; all.length <= count; round += 1) {
      for (const line of lines) {
        all.push(line.replace(/"t":(\d+)/, (_, t: string) => `"t":${Number(t) + round * 2_000_000}`));
      }
    }
    return `${all.slice(0, count + 1).join("\n")}\n`;
  };
  for (const count of [5_000, 100_000]) {
    await start(page);
    const content = long(count);
    // From the file to the first frame, as the time that the page's own thread computes: others may be busy here.
    const chrome = await page.context().newCDPSession(page);
    await chrome.send("Performance.enable", { timeDomain: "threadTicks" });
    const spent = async (): Promise<number> => {
      const { metrics } = await chrome.send("Performance.getMetrics");
      return (metrics.find((metric) => metric.name === "TaskDuration")?.value ?? NaN) * 1000;
    };
    const data = await page.evaluateHandle((content) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([content], "long.jsonl"));
      return transfer;
    }, content);
    const before = await spent();
    await page.dispatchEvent("body", "drop", { dataTransfer: data });
    await expect(page.locator("body")).toHaveAttribute("data-trace", "", { timeout: 30_000 });
    const ms = (await spent()) - before;
    await page.keyboard.press("End");
    const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
    console.log(`${count} lines opened in ${ms.toFixed(0)} ms of the page's thread, ${nodes} nodes`);
    expect(nodes, `${count}`).toBeLessThan(2500);
    expect(ms, `${count}`).toBeLessThan(2000);
    const marked = page.locator(".trace-row.marked");
    await expect(marked).toHaveCount(1);
    await expect(marked).toBeInViewport();
  }
});

test("a trace is fully worded in both languages, and axe finds nothing serious", async ({ page }) => {
  for (const view of ["m=light&l=en", "m=dark&l=zh"]) {
    for (const name of ["peer-udp", "peer-tcp", "server-udp"]) {
      await open(page, name, `#v=1&s=f5-udp-hole-punching&${view}`);
      await page.keyboard.press("End");
      expect(await page.locator("body").innerText()).not.toContain("⟦");
    }
    await page.keyboard.press("Home");
    // What is still to come is readable, too; axe does not see it under the buttons that cover the rows.
    for (const part of [".trace-row.future", ".trace-row.future .trace-label"]) await expect(page.locator(part).first()).toHaveCSS("opacity", "1");
    await page.evaluate(axe);
    const serious = await page.evaluate(async () => {
      const { axe } = window as unknown as { axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> } };
      const { violations } = await axe.run();
      const grave = violations.filter((found) => found.impact === "serious" || found.impact === "critical");
      return grave.map((found) => `${found.id}: ${found.nodes[0]?.html ?? ""}`);
    });
    expect(serious, view).toEqual([]);
  }
});
