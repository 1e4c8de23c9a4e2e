// Links: they lead where they led, and what makes no sense in them is said.

import { readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { digest, open, where } from "./page";

interface Golden {
  link: string;
  state: { scenario: string; step: number; edits: unknown[]; view: Record<string, string>; notices: string[] };
}

const LINKS = JSON.parse(readFileSync(new URL("../../golden/links.json", import.meta.url), "utf8")) as Golden[];

test("every link that was given out leads where it led", async ({ page }) => {
  test.setTimeout(180_000);
  expect(LINKS.length).toBeGreaterThanOrEqual(20);
  for (const { link, state } of LINKS) {
    await open(page, link.startsWith("#") ? link : `#${link}`);
    await expect(page.locator("#scenario"), link).toHaveValue(state.scenario);
    expect(await where(page), link).toMatch(new RegExp(`^\\D*${state.step + 1}\\D`));
    await expect(page.locator(".edits li"), link).toHaveCount(state.edits.length);
    await expect(page.locator(".notice"), link).toHaveCount(Math.min(1, state.notices.length));
    await expect(page.locator("html"), link).toHaveAttribute("lang", state.view["l"] === "zh" ? "zh-Hans" : "en");
    await expect(page.locator("html"), link).toHaveAttribute("data-theme", state.view["m"] ?? "auto");
    await expect(page.locator("body"), link).toHaveAttribute("data-panel", state.view["p"] ?? "ladder");
    await expect(page.locator("#ladder input[type=checkbox]"), link).toBeChecked({ checked: state.view["all"] === "1" });
    if (state.view["j"] !== undefined) expect(page.url()).toMatch(new RegExp(`[&#]j=${state.view["j"]}(&|$)`));
  }
});

test("a copied link restores step, selection, panel, language, theme and changes", async ({ page, context, baseURL }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: baseURL ?? "" });
  await open(page);
  await page.keyboard.press("d");
  await page.keyboard.press("ArrowRight");
  await page.locator("#ladder .packet-row .cover").nth(2).click();
  for (const key of ["l", "t", "4", "a"]) await page.keyboard.press(key);
  const seen = async (): Promise<unknown[]> => [
    await where(page),
    await digest(page),
    await page.locator("html").getAttribute("lang"),
    await page.locator("html").getAttribute("data-theme"),
    await page.locator("body").getAttribute("data-panel"),
    await page.locator("#ladder input[type=checkbox]").isChecked(),
    await page.locator("#ladder .packet-row.marked").getAttribute("data-journey"),
    await page.locator(".edits li").allInnerTexts(),
  ];
  const before = await seen();
  await page.locator("#link").click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link.split("#")[1]?.length).toBeLessThanOrEqual(1500);
  await page.goto("about:blank");
  await page.goto(link);
  await expect(page.locator("#where")).toBeVisible();
  expect(await seen()).toEqual(before);
});

test("a link that makes no sense gets a notice that says where, and a working page", async ({ page }) => {
  const cases: [string, string][] = [
    ["#v=9", "9"],
    ["#v=1&s=nowhere", "nowhere"],
    ["#v=1&x=%25%25", "'%' at 0"],
    ["#v=1&x=e30", "column"],
    ["#v=1&i=x", "i=x"],
    ["#v=1&j=999", "j=999"],
    ["#v=1&j=x", "j=x"],
    ["#colour=red", "colour"],
  ];
  for (const [fragment, part] of cases) {
    await open(page, fragment);
    await expect(page.locator(".notice"), fragment).toContainText(part);
    const before = await where(page);
    await page.keyboard.press("ArrowLeft");
    expect(await where(page), fragment).not.toBe(before);
  }
});
