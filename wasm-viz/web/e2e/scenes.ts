// The scenarios at their key frames, in every size, language and theme.

import { type Page, expect } from "@playwright/test";

export const SIZES = { desk: [1440, 900], small: [1024, 768], phone: [390, 844] } as const;
export const VIEWS = ["en-light", "en-dark", "zh-light", "zh-dark"] as const;

/** The scenarios, in the order of the list. */
export async function names(page: Page): Promise<string[]> {
  await page.goto("/");
  const options = page.locator("#scenario option");
  await expect(options).not.toHaveCount(0);
  return options.evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
}

/** Shows a scenario where a link without a step opens it. */
export async function show(page: Page, name: string, size: keyof typeof SIZES, view: string): Promise<void> {
  const [language = "en", theme = "light"] = view.split("-");
  const [width, height] = SIZES[size];
  if (page.viewportSize()?.width !== width) await page.setViewportSize({ width, height });
  if (!page.url().startsWith("http")) await page.goto("/");
  await page.evaluate((fragment) => {
    scrollTo(0, 0);
    location.hash = fragment;
  }, `v=1&s=${name}&l=${language}&m=${theme}`);
  await expect(page.locator("#scenario")).toHaveValue(name);
  await expect(page.locator("html")).toHaveAttribute("lang", language === "zh" ? "zh-Hans" : "en");
  await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
  // What follows the size of its panel has followed it after two frames.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}
