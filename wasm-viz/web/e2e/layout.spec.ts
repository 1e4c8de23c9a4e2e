// The checks of the page's looks prove themselves, and every scenario passes them.

import { expect, test } from "@playwright/test";
import { problems } from "./layout";
import { SIZES, VIEWS, names, show } from "./scenes";

test("what is drawn over something else is found", async ({ page }) => {
  await show(page, "f5-udp-hole-punching", "desk", "en-light");
  expect(await problems(page)).toEqual([]);
  const spoil = async (spot: string, text: string, style: string): Promise<string> => {
    await page.evaluate(([spot, text, style]) => {
      const spoiler = document.createElement("p");
      spoiler.id = "spoiler";
      spoiler.textContent = text ?? "";
      spoiler.setAttribute("style", style ?? "");
      document.querySelector(spot ?? "")?.append(spoiler);
    }, [spot, text, style]);
    const found = await problems(page);
    await page.evaluate(() => document.getElementById("spoiler")?.remove());
    return found.join("\n");
  };
  const over = "position: absolute; left: 14px; top: 56px; font-size: 17px";
  expect(await spoil("body", "written over the story", over)).toContain("overlap: ");
  expect(await spoil("#tables", "a text that is cut", "width: 60px; overflow: hidden; white-space: nowrap")).toContain("clipped: “a text that is cut”");
  expect(await spoil("#tables", "small print", "font-size: 12px")).toContain("small: “small print” is drawn with 12.0 px");
  expect(await spoil("#tables", "shrunk", "font-size: 15px; transform: scale(0.8)")).toContain("small: “shrunk” is drawn with 12.0 px");
  expect(await spoil("body", "far out", "margin-left: 1500px; width: 200px")).toContain("sideways: the page");
  expect(await spoil("#story", "many words ".repeat(40), "")).toContain("wordy: ");
  expect(await spoil("#story", "字".repeat(130), "")).toContain("wordy: ");
  expect(await problems(page)).toEqual([]);
});

test("a label that an arrow crosses is found, and so is a machine's name that leaves its box", async ({ page }) => {
  await show(page, "f5-udp-hole-punching", "desk", "en-light");
  await page.evaluate(() => {
    const label = document.querySelector<HTMLElement>(".packet-row.marked .label");
    if (label !== null) label.style.top = "18px";
    const name = document.querySelector(".machine .name");
    if (name !== null) name.textContent = "a machine with a very long name";
  });
  const found = (await problems(page)).join("\n");
  expect(found).toContain("and an arrow");
  expect(found).toContain("is wider than its box");
});

test("every scenario is well laid out in both languages, and the first one in every view", async ({ page }) => {
  test.setTimeout(300_000);
  const found: string[] = [];
  const look = async (name: string, size: keyof typeof SIZES, view: string): Promise<void> => {
    await show(page, name, size, view);
    found.push(...(await problems(page)).map((problem) => `${name} ${size} ${view}: ${problem}`));
  };
  const first = "f5-udp-hole-punching";
  const others = (await names(page)).filter((name) => name !== first);
  for (const size of Object.keys(SIZES) as (keyof typeof SIZES)[]) for (const view of VIEWS) await look(first, size, view);
  expect(others.length).toBeGreaterThan(15);
  for (const view of ["en-light", "zh-light"]) for (const name of others) await look(name, "desk", view);
  expect(found).toEqual([]);
});
