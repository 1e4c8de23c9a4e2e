// Every word on the page comes from the templates.

import { type Page, expect, test } from "@playwright/test";
import { type Bare, open } from "./page";
import { names } from "./scenes";

/** What is shown without a mark and has letters, but for names. */
async function bare(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const { pinhole } = window as unknown as Bare;
    const machines = [...document.querySelectorAll("[data-machine]")].map((machine) => machine.getAttribute("data-machine") ?? "");
    const messages = pinhole.ladder(true).rows.flatMap((row) => (row.row === "packet" && row.name.key === "literal" ? [String(row.name.with?.["value"])] : []));
    const known = new Set(["Pinhole", "中文", "UDP", "TCP", ...machines, ...messages]);
    // Fields are called what the registries of the specification call them, and sources what they are called there.
    const elsewhere = "#bytes, #source, .checks small, .nat-fields small";
    const texts: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      if (node.parentElement?.closest(elsewhere) === null) texts.push(node.textContent ?? "");
    }
    for (const element of document.querySelectorAll("[aria-label], [title], [aria-valuetext]")) {
      if (element.closest(elsewhere) !== null) continue;
      texts.push(...["aria-label", "title", "aria-valuetext"].map((name) => element.getAttribute(name) ?? ""));
    }
    for (const row of pinhole.ladder(false).rows) if (row.row === "packet" && row.step !== null) known.add(row.step);
    const isName = (text: string): boolean => text.split(" → ").every((part) => known.has(part)) || /^[\d.]+ ms$/.test(text);
    return texts.map((text) => text.trim()).filter((text) => !text.includes("⟨") && /\p{L}{2}/u.test(text) && !isName(text));
  });
}

test("with every template marked no text is without a mark but names", async ({ page }) => {
  test.setTimeout(120_000);
  // The templates are lines of one text; each of them gets a mark before and behind it.
  await page.addInitScript(() => {
    const split = Reflect.get(String.prototype, "split") as (this: string, ...by: unknown[]) => string[];
    Reflect.set(String.prototype, "split", function (this: string, ...by: unknown[]) {
      const parts = split.apply(this, by);
      return by[0] === "\n" && parts.length > 500 && this.includes("{") ? parts.map((line) => `⟨${line}⟩`) : parts;
    });
  });
  await open(page);
  await expect(page.locator("#story .line")).toHaveText(/^⟨.*⟩$/);
  const found = new Set<string>();
  const look = async (): Promise<void> => (await bare(page)).forEach((text) => found.add(text));
  await look();
  for (const key of ["m", "Escape", "?", "Escape", "r", "Escape", "e", "Escape", "p", "ArrowRight"]) {
    await page.keyboard.press(key);
    await look();
  }
  await page.locator('[data-machine^="NAT"] .cover-nat').first().focus();
  await page.keyboard.press("Enter");
  await look();
  for (const name of await names(page)) {
    await page.evaluate((hash) => { location.hash = hash; }, `#v=1&s=${name}&all=1`);
    await expect(page.locator("#scenario")).toHaveValue(name);
    await look();
  }
  expect([...found].sort()).toEqual([]);
});
