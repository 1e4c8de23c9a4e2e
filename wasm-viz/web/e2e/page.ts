// What every test of the page needs.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { type Page, expect } from "@playwright/test";
import type { Core } from "../src/core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const OFFLINE = pathToFileURL(new URL("../dist/pinhole-offline.html", import.meta.url).pathname).href;
export const FIRST = "f5-udp-hole-punching";

/** The core, where the browser's console finds it, too. */
export type Bare = Window & { pinhole: Core };

interface Found {
  violations: { id: string; impact: string; nodes: { html: string }[] }[];
}

/** Opens what a fragment names, as if the link had been followed. */
export async function open(page: Page, fragment = ""): Promise<void> {
  await page.goto("about:blank");
  await page.goto(`/${fragment}`);
  await expect(page.locator("#where")).toBeVisible();
}

/** Where one stands: step, length and time. */
export const where = (page: Page): Promise<string> => page.locator("#where").innerText();

/** Everything that the panels show. */
export const frame = (page: Page): Promise<string> => page.locator("main").innerHTML();

/** The digest of the run that is shown. */
export const digest = (page: Page): Promise<string> => page.evaluate(() => (window as unknown as Bare).pinhole.digest());

/** The names of the scenarios, in the order of the list. */
export const scenarios = (page: Page): Promise<string[]> =>
  page.evaluate(() => (window as unknown as Bare).pinhole.catalogue().scenarios.map((scenario) => scenario.id));

/** Goes to a step as somebody does who pulls the slider. */
export async function scrub(page: Page, index: number): Promise<void> {
  await page.locator("#slider").evaluate((slider, index) => {
    (slider as HTMLInputElement).value = String(index);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }, index);
}

/** What axe finds that shuts somebody out, but for the parts of the page that are left out. */
export async function grave(page: Page, without: string[] = []): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  return page.evaluate(async (without) => {
    const { axe } = window as unknown as { axe: { run(context: object, options: object): Promise<Found> } };
    const exclude = without.map((part) => [part]);
    const { violations } = await axe.run({ include: [["html"]], exclude }, { resultTypes: ["violations"] });
    const found = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ""}`);
  }, without);
}
