// What reads and writes files is a module of its own, which comes with the first file.

import { readFileSync } from "node:fs";
import { type Page, expect, test } from "@playwright/test";
import { OFFLINE, open, where } from "./page";

const PART = "**/files.*.pack";
const trace = readFileSync(new URL("../../tests/traces/peer-udp.jsonl", import.meta.url), "utf8");

/** The modules that are asked for from here on. */
function modules(page: Page): string[] {
  const found: string[] = [];
  page.on("request", (request) => {
    const name = /\/(\w+)\.wasm[^/]*\.pack$/.exec(request.url())?.[1];
    if (name !== undefined) found.push(name);
  });
  return found;
}

async function capture(page: Page): Promise<Buffer> {
  await page.keyboard.press("e");
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#export-pcapng").click()]);
  await page.keyboard.press("Escape");
  return readFileSync(await download.path());
}

async function drop(page: Page): Promise<void> {
  const data = await page.evaluateHandle((content) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], "dropped.jsonl"));
    return transfer;
  }, trace);
  await page.dispatchEvent("body", "drop", { dataTransfer: data });
}

test("the module for files comes with the first file, and once", async ({ page }) => {
  const seen = modules(page);
  await open(page);
  for (const key of ["ArrowRight", "ArrowLeft", "End", "e", "Escape", "m", "Escape", "?", "Escape"]) await page.keyboard.press(key);
  expect(seen).toEqual(["core"]);
  await capture(page);
  await capture(page);
  await drop(page);
  await expect(page.locator("body")).toHaveAttribute("data-trace");
  expect(seen).toEqual(["core", "files"]);
});

test("where the module for files does not arrive, the page says so, goes on and asks again", async ({ page }) => {
  await page.route(PART, (route) => route.abort());
  await open(page);
  const before = await where(page);
  await drop(page);
  await expect(page.locator(".notice")).toContainText("did not arrive");
  await expect(page.locator("body")).not.toHaveAttribute("data-trace");
  await page.keyboard.press("ArrowRight");
  await expect(page.locator("#where")).not.toHaveText(before);
  await page.locator(".notice button").click();
  await page.keyboard.press("e");
  await page.locator("#export-pcapng").click();
  await expect(page.locator(".notice")).toContainText("did not arrive");
  await page.unroute(PART);
  // What a server says instead of the module is none.
  await page.route(PART, (route) => route.fulfill({ status: 404, body: "not here" }));
  await page.locator(".notice button").click();
  await drop(page);
  await expect(page.locator(".notice")).toContainText("did not arrive");
  await page.unroute(PART);
  expect((await capture(page)).subarray(0, 4).toString("hex")).toBe("0a0d0d0a");
  await drop(page);
  await expect(page.locator("body")).toHaveAttribute("data-trace");
});

test("the one file has both modules in it", async ({ page }) => {
  const foreign: string[] = [];
  page.on("request", (request) => request.url().startsWith("data:") || foreign.push(request.url()));
  await page.goto(OFFLINE);
  await expect(page.locator("#where")).toBeVisible();
  expect((await capture(page)).subarray(0, 4).toString("hex")).toBe("0a0d0d0a");
  await drop(page);
  await expect(page.locator("#map h2")).toContainText("dropped.jsonl");
  expect(foreign).toEqual([OFFLINE]);
});
