// The page as it opens: what the eye meets, what it weighs, what it asks of others.

import { expect, test } from "@playwright/test";
import { type Bare, OFFLINE, digest, open, scrub } from "./page";

test("the page opens on the first drop, with one change, and asks why", async ({ page }) => {
  const problems: string[] = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  await open(page);
  await expect(page.locator(".edits li")).toHaveCount(1);
  await expect(page.locator(".verdict.dropped")).toContainText("NAT B");
  await expect(page.locator(".checks li.failed")).not.toHaveCount(0);
  expect(problems).toEqual([]);
});

test("the receipt of the first drop names the row and both operands", async ({ page }) => {
  await open(page);
  expect(await page.locator(".checks li").count()).toBeGreaterThanOrEqual(2);
  const failed = page.locator(".checks li.failed").first();
  await expect(failed.locator(".operand")).toHaveCount(2);
  await expect(failed.locator(".operand").first()).toContainText("155.99.25.11:62000");
  const row = await page.evaluate(() => {
    const { pinhole } = window as unknown as Bare;
    const { happenings } = pinhole.seek(pinhole.open("").cursor);
    return happenings.find((happening) => happening.verdict === "dropped")?.row;
  });
  await expect(page.locator("tr.decided")).toHaveCount(1);
  await expect(page.locator("tr.decided")).toHaveAttribute("data-row", row ?? "");
});

test("one file opens from the disk, offline, without a request", async ({ page }) => {
  const requests: string[] = [];
  const problems: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(OFFLINE);
  await expect(page.locator(".verdict.dropped")).toContainText("NAT B");
  expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([OFFLINE]);
  expect(problems).toEqual([]);
  const here = await digest(page);
  await open(page);
  expect(await digest(page)).toBe(here);
});

test("nothing is asked of another origin", async ({ page, baseURL }) => {
  const foreign: string[] = [];
  const own = (url: string): boolean => url.startsWith(baseURL ?? "?") || /^(data|about):/.test(url);
  page.on("request", (request) => own(request.url()) || foreign.push(request.url()));
  await open(page);
  expect(foreign).toEqual([]);
});

test("a long run stays a small document, and a seek is short", async ({ page }) => {
  await open(page, "#v=1&s=twenty-second-timeouts&all=1");
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  expect(nodes).toBeLessThan(2500);
  const boot = await page.evaluate(() => performance.getEntriesByName("boot")[0]?.duration ?? 0);
  await scrub(page, 0);
  const seek = await page.evaluate(() => {
    const { pinhole } = window as unknown as Bare;
    const length = Math.min(300, pinhole.open(location.hash).length);
    const times = Array.from({ length: 200 }, (_, count) => {
      const from = performance.now();
      pinhole.seek((count * 7919) % length);
      return performance.now() - from;
    });
    return times.sort((a, b) => a - b)[100] ?? Infinity;
  });
  console.log(`boot ${boot.toFixed(0)} ms, ${nodes} nodes, median of 200 seeks ${seek.toFixed(1)} ms`);
  // The aims are 100 ms and 4 ms on a quiet machine; what is far above them is no noise.
  expect(boot).toBeLessThan(4000);
  expect(seek).toBeLessThan(80);
});

test("there is no sideways scrolling on a desk, on a small screen and on a phone", async ({ page }) => {
  for (const [width, height] of [[1440, 900], [1024, 768], [390, 844]] as const) {
    await page.setViewportSize({ width, height });
    for (const language of ["en", "zh"]) {
      await open(page, `#v=1&l=${language}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(over, `${width} ${language}`).toBeLessThanOrEqual(0);
    }
  }
});
