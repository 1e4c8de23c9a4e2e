// Stepping: every way to a step leads to the same one.

import { expect, test } from "@playwright/test";
import { type Bare, digest, frame, open, scrub, where } from "./page";

test("a step looks the same however it was reached", async ({ page }) => {
  await open(page, "#v=1&s=f6-same-nat&i=20&all=1");
  const first = await frame(page);
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  for (let step = 0; step < 20; step += 1) await page.keyboard.press("ArrowRight");
  await expect.poll(() => frame(page)).toBe(first);
  await page.keyboard.press("End");
  await scrub(page, 20);
  await expect.poll(() => frame(page)).toBe(first);
});

test("milestones are met in order, by the keys of a clicker", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching&i=0");
  const wanted = await page.evaluate(() => {
    const { milestones } = (window as unknown as Bare).pinhole.open(location.hash);
    return [...new Set(milestones.map((mark) => mark.index))].filter((index) => index > 0);
  });
  expect(wanted.length).toBeGreaterThan(5);
  for (const index of wanted) {
    await page.keyboard.press("PageDown");
    expect(await where(page)).toMatch(new RegExp(`^\\D*${index + 1}\\D`));
  }
  await page.keyboard.press("PageUp");
  expect(await where(page)).toMatch(new RegExp(`^\\D*${(wanted.at(-2) ?? 0) + 1}\\D`));
});

test("play runs to the end and stops there", async ({ page }) => {
  await open(page, "#v=1&s=f1-cone-nat&i=0");
  const length = await page.evaluate(() => (window as unknown as Bare).pinhole.open(location.hash).length);
  await scrub(page, length - 3);
  await page.keyboard.press(" ");
  await expect(page.locator("#play")).toHaveAttribute("aria-pressed", "true");
  await expect.poll(() => where(page), { timeout: 20_000 }).toMatch(new RegExp(`^\\D*${length}\\D`));
  await expect(page.locator("#play")).toHaveAttribute("aria-pressed", "false");
});

test("without the change no punch dies, and the run with it is still there", async ({ page }) => {
  await open(page);
  const changed = await digest(page);
  await page.locator(".edits .remove").click();
  await expect(page.locator(".edits li")).toHaveCount(0);
  expect(await digest(page)).not.toBe(changed);
  await page.locator("#ladder input[type=checkbox]").check();
  await page.keyboard.press("End");
  await expect(page.locator(".end.dropped")).toHaveCount(0);
  await page.locator(".branches button").first().click();
  await expect(page.locator(".edits li")).toHaveCount(1);
  expect(await digest(page)).toBe(changed);
});
