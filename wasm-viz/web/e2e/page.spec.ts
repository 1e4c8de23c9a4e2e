// The page as its users meet it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { type Page, expect, test } from "@playwright/test";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const OFFLINE = pathToFileURL(new URL("../dist/pinhole-offline.html", import.meta.url).pathname).href;

interface Found {
  violations: { id: string; impact: string; nodes: { html: string }[] }[];
}

async function open(page: Page, fragment = ""): Promise<void> {
  await page.goto("about:blank");
  await page.goto(`/${fragment}`);
  await expect(page.locator("#where")).toBeVisible();
}

const where = (page: Page): Promise<string> => page.locator("#where").innerText();
const frame = (page: Page): Promise<string> => page.locator("main").innerHTML();

test("the page opens on the first drop, with one change, and asks why", async ({ page }) => {
  const problems: string[] = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  await open(page);
  await expect(page.locator(".edits li")).toHaveCount(1);
  await expect(page.locator(".verdict.dropped")).toContainText("NAT B");
  await expect(page.locator(".checks li.failed")).not.toHaveCount(0);
  expect(await page.locator(".checks li").count()).toBeGreaterThanOrEqual(2);
  await expect(page.locator("tr.decided")).toHaveCount(1);
  expect(problems).toEqual([]);
});

test("one file opens from the disk, offline, without a request", async ({ page }) => {
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(OFFLINE);
  await expect(page.locator(".verdict.dropped")).toContainText("NAT B");
  expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([OFFLINE]);
});

test("nothing is asked of another origin", async ({ page }) => {
  const foreign: string[] = [];
  const own = (url: string): boolean => url.startsWith("http://127.0.0.1:4655/") || /^(data|about):/.test(url);
  page.on("request", (request) => own(request.url()) || foreign.push(request.url()));
  await open(page);
  expect(foreign).toEqual([]);
});

test("a step looks the same however it was reached", async ({ page }) => {
  await open(page, "#v=1&s=f6-same-nat&i=20&all=1");
  const first = await frame(page);
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  for (let step = 0; step < 20; step += 1) await page.keyboard.press("ArrowRight");
  await expect.poll(() => frame(page)).toBe(first);
});

test("without the change no punch dies, and the run with it is still there", async ({ page }) => {
  await open(page);
  await page.locator(".edits .remove").click();
  await expect(page.locator(".edits li")).toHaveCount(0);
  await page.locator("#ladder input[type=checkbox]").check();
  await page.keyboard.press("End");
  await expect(page.locator(".end.dropped")).toHaveCount(0);
  await page.locator(".branches button").first().click();
  await expect(page.locator(".edits li")).toHaveCount(1);
});

test("a NAT that is changed changes the outcome", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
  await page.locator('[data-machine="NAT A"]').click();
  await page.locator('[data-preset="symmetric"]').click();
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
  await page.locator('[data-preset="port-restricted-cone"]').click();
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
});

test("a suggestion makes a run of its own", async ({ page }) => {
  await open(page);
  await page.locator("#why-not").click();
  await page.locator(".suggestion").first().click();
  await expect(page.locator(".branches button")).toHaveCount(2);
});

test("a packet is dropped by a key, and the change can be taken back", async ({ page }) => {
  await open(page, "#v=1&s=f5-mirrored");
  const edits = await page.locator(".edits li").count();
  await page.keyboard.press("d");
  await expect(page.locator(".edits li")).toHaveCount(edits + 1);
  await page.locator(".edits .remove").last().click();
  await expect(page.locator(".edits li")).toHaveCount(edits);
});

test("what a field covers is marked in the octets", async ({ page }) => {
  await open(page);
  const field = page.locator("#bytes .field", { hasText: "nonce" }).first();
  await field.focus();
  const length = Number(await field.getAttribute("data-length"));
  await expect(page.locator("#bytes .capture").first().locator(".hex .lit")).toHaveCount(length);
});

test("a question hides the answer until it is given", async ({ page }) => {
  await open(page);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("p");
  await page.locator("#ask").click();
  await expect(page.locator(".quiz")).toBeVisible();
  await expect(page.locator("tr.decided")).toHaveCount(0);
  await expect(page.locator(".verdict")).toHaveCount(0);
  for (const choice of await page.locator(".choice").all()) {
    await choice.click();
    if (await page.locator(".answer.right").isVisible()) break;
  }
  await expect(page.locator(".answer.right")).toBeVisible();
  await page.locator("#go-on").click();
  await expect(page.locator(".verdict.dropped")).toBeVisible();
});

test("a link restores the step, the language and the theme", async ({ page }) => {
  await open(page);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("l");
  await page.keyboard.press("t");
  const [url, at] = [page.url(), await where(page)];
  await page.goto("about:blank");
  await page.goto(url);
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-Hans");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  expect(await where(page)).toBe(at);
});

test("a link that makes no sense gets a notice and a working page", async ({ page }) => {
  for (const fragment of ["#v=9", "#v=1&s=nowhere", "#v=1&x=%25%25", "#v=1&i=x", "#colour=red"]) {
    await open(page, fragment);
    await expect(page.locator(".notice")).toBeVisible();
    await page.keyboard.press("ArrowRight");
    await expect(page.locator("#where")).toBeVisible();
  }
});

test("every scenario is fully worded in both languages", async ({ page }) => {
  await open(page);
  const options = page.locator("#scenario option");
  const names = await options.evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
  expect(names.length).toBeGreaterThanOrEqual(17);
  for (const language of ["en", "zh"]) {
    for (const name of names) {
      await open(page, `#v=1&s=${name}&l=${language}&all=1`);
      expect(await page.locator("body").innerText(), name).not.toContain("⟦");
    }
  }
});

test("axe finds nothing serious in light and dark, in both languages", async ({ page }) => {
  for (const view of ["m=light&l=en", "m=dark&l=en", "m=light&l=zh", "m=dark&l=zh"]) {
    await open(page, `#v=1&s=f5-udp-hole-punching&${view}`);
    await page.evaluate(axe);
    const serious = await page.evaluate(async () => {
      const { axe } = window as unknown as { axe: { run(): Promise<Found> } };
      const { violations } = await axe.run();
      const grave = violations.filter((found) => found.impact === "serious" || found.impact === "critical");
      return grave.map((found) => `${found.id}: ${found.nodes[0]?.html ?? ""}`);
    });
    expect(serious, view).toEqual([]);
  }
});

test("the live region says each step", async ({ page }) => {
  await open(page);
  await expect(page.locator("#live")).not.toBeEmpty();
  const before = await page.locator("#live").innerText();
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => page.locator("#live").innerText()).not.toBe(before);
});

test("nothing moves by itself where motion is not wanted", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page);
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
});

test("the matrix is made of runs, and a cell opens its own", async ({ page }) => {
  await open(page);
  await page.keyboard.press("m");
  const cell = page.locator('[data-cell="symmetric symmetric"]');
  await expect(cell).toHaveClass(/relayed/, { timeout: 30_000 });
  await cell.click();
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
});

test("a long run stays a small document", async ({ page }) => {
  await open(page, "#v=1&s=twenty-second-timeouts&all=1");
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  expect(nodes).toBeLessThan(2500);
  const boot = await page.evaluate(() => performance.getEntriesByName("boot")[0]?.duration ?? 0);
  console.log(`boot ${boot.toFixed(0)} ms, ${nodes} nodes`);
});

test("there is no sideways scrolling on a desk, on a small screen and on a phone", async ({ page }) => {
  for (const [width, height] of [[1440, 900], [1024, 768], [390, 844]] as const) {
    await page.setViewportSize({ width, height });
    await open(page);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(over, `${width}`).toBeLessThanOrEqual(0);
  }
});
