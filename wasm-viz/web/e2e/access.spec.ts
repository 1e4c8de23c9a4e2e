// For everyone: keys, screen readers, colours, motion.

import { expect, test } from "@playwright/test";
import { type Bare, grave, open, where } from "./page";
import { VIEWS, names, show } from "./scenes";

for (const [number, view] of VIEWS.entries()) {
  // Each scenario in one view, the next one in the next: the views differ in colours and words, which are the same in
  // every scenario. The first test below has the parts that are made in the same way everywhere.
  test(`axe finds nothing serious in any scenario where it opens: ${view}`, async ({ page }) => {
    test.setTimeout(300_000);
    const found: string[] = [];
    const own = (await names(page)).filter((_, scenario) => scenario % VIEWS.length === number);
    expect(own.length).toBeGreaterThan(8);
    for (const name of own) {
      await show(page, name, "desk", view);
      found.push(...(await grave(page, ["header", "footer", "#bytes"])).map((what) => `${name} ${what}`));
    }
    expect(found).toEqual([]);
  });
}

for (const view of ["m=light&l=en", "m=dark&l=en", "m=light&l=zh", "m=dark&l=zh"]) {
  test(`axe finds nothing serious: ${view}`, async ({ page }) => {
    await open(page, `#v=1&s=f5-udp-hole-punching&${view}`);
    expect(await grave(page)).toEqual([]);
    await page.keyboard.press("m");
    expect(await grave(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.locator('[data-machine="NAT A"] [role=button]').focus();
    await page.keyboard.press("Enter");
    expect(await grave(page)).toEqual([]);
  });
}

test("axe finds nothing serious in forced colours, and the page is there", async ({ page }) => {
  await page.emulateMedia({ forcedColors: "active" });
  await open(page);
  expect(await grave(page)).toEqual([]);
  await expect(page.locator("#ladder .end.dropped").first()).toBeVisible();
});

test("the drop is understood, mended and compared by keys alone", async ({ page }) => {
  await open(page);
  await page.keyboard.press("Home");
  await page.keyboard.press("PageDown");
  for (let key = 0; key < 20 && !(await page.locator(".verdict.dropped").isVisible()); key += 1) await page.keyboard.press(".");
  await expect(page.locator(".verdict.dropped")).toContainText("NAT B");
  const press = async (selector: string): Promise<void> => {
    for (let tab = 0; tab < 150; tab += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, selector)) break;
    }
    await page.keyboard.press("Enter");
  };
  await press("#why-not");
  await expect(page.locator(".suggestion").first()).toBeVisible();
  await press(".suggestion");
  await expect(page.locator(".branches button")).toHaveCount(2);
  await page.keyboard.press("c");
  await expect(page.locator('[data-ladder="there"]')).toBeVisible();
  await page.keyboard.press("Escape");
  await press(".edits .remove");
  await press(".cover-nat");
  await expect(page.locator("#nat [role=dialog]")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await expect(page.locator("#dialog [role=dialog]")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.locator("#dialog [role=dialog]")).toHaveCount(0);
});

test("the live region speaks once a step, and once after a hurry", async ({ page }) => {
  await open(page);
  await expect(page.locator("#live")).not.toBeEmpty();
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    const live = document.getElementById("live");
    if (live !== null) new MutationObserver(() => said.push(live.textContent ?? "")).observe(live, { childList: true, characterData: true, subtree: true });
  });
  const said = (): Promise<string[]> => page.evaluate(() => (window as unknown as { said: string[] }).said);
  await page.keyboard.press("ArrowRight");
  await expect.poll(async () => (await said()).length).toBe(1);
  // Steps in one go, as somebody makes who holds the key down.
  await page.evaluate(() => {
    for (let key = 0; key < 12; key += 1) document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
  });
  await expect.poll(async () => (await said()).length).toBe(2);
  const number = (await where(page)).match(/\d+/)?.[0] ?? "?";
  expect((await said())[1]).toContain(number);
});

test("the ladder is a list that names sender, receiver and fate", async ({ page }) => {
  await open(page);
  await expect(page.locator("#ladder")).toMatchAriaSnapshot(`
    - group "Packets in the order in which they were sent":
      - list:
        - listitem:
          - button /A registers, from A to S/
        - listitem:
          - button /A punches, from A to NAT B. NAT B drops Punch/
  `);
});

test("nothing moves by itself where motion is not wanted, and nothing plays by itself", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page);
  const before = await where(page);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  await expect(page.locator("#play")).toHaveAttribute("aria-pressed", "false");
  expect(await where(page)).toBe(before);
});

test("fates differ in shape and in words, not in colour alone", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching&i=9999");
  const shapes = async (fate: string): Promise<(string | null)[]> =>
    page.locator(`#ladder path.end.${fate}`).evaluateAll((all) => [...new Set(all.map((path) => path.getAttribute("d")))]);
  const each = await Promise.all(["dropped", "delivered", "passed"].map(shapes));
  for (const shape of each) expect(shape).toHaveLength(1);
  expect(new Set(each.flat()).size).toBe(3);
  await expect(page.locator("#ladder .cover").filter({ has: page.locator(":scope") }).first()).toHaveAttribute("aria-label", /\S/);
});

test("the language is switched without leaving the step", async ({ page }) => {
  await open(page);
  const number = (text: string): string => (text.match(/\d+/g) ?? []).join(" ");
  const before = number(await where(page));
  await page.locator("#language").click();
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-Hans");
  expect(number(await where(page))).toBe(before);
});

test("every control is met by Tab, in the order of reading", async ({ page }) => {
  await open(page);
  const CONTROLS = "button, select, input, summary, [role=button], [tabindex='0']";
  const wanted = await page.evaluate((controls) => {
    const all = [...document.querySelectorAll<HTMLElement>(controls)].filter((control) => control.checkVisibility() && !(control as HTMLButtonElement).disabled);
    all.forEach((control, number) => (control.dataset["number"] = String(number)));
    return all.length;
  }, CONTROLS);
  expect(wanted).toBeGreaterThan(40);
  const met: number[] = [];
  for (let tab = 0; tab < wanted; tab += 1) {
    await page.keyboard.press("Tab");
    met.push(await page.evaluate(() => Number(document.activeElement?.getAttribute("data-number") ?? "-1")));
  }
  expect(met).toEqual([...met.keys()]);
});

test("a dialog keeps the focus, and gives it back", async ({ page }) => {
  await open(page);
  for (const opener of ["matrix", "export", "help"]) {
    await page.locator(`#${opener}`).focus();
    await page.keyboard.press("Enter");
    const inside = (): Promise<boolean> => page.evaluate(() => document.activeElement?.closest("#dialog") !== null);
    await expect.poll(inside).toBe(true);
    for (let tab = 0; tab < 6; tab += 1) {
      await page.keyboard.press("Tab");
      // After the last one comes what is around the page, and then the first one.
      expect((await inside()) || (await page.evaluate(() => document.activeElement === document.body)), opener).toBe(true);
    }
    if (!(await inside())) await page.keyboard.press("Tab");
    await page.keyboard.press("Escape");
    await expect(page.locator(`#${opener}`)).toBeFocused();
  }
});

test("a control that is used by a key keeps the focus", async ({ page }) => {
  await open(page);
  for (const id of ["predict", "theme", "delay", "next"]) {
    await page.locator(`#${id}`).focus();
    await page.keyboard.press("Enter");
    await expect(page.locator(`#${id}`)).toBeFocused();
  }
  await page.locator('[data-machine^="NAT"] .cover-nat').first().focus();
  await page.keyboard.press("Enter");
  await page.locator("#preset-symmetric").focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#preset-symmetric")).toBeFocused();
  await expect(page.locator("#preset-symmetric")).toHaveAttribute("aria-pressed", "true");
  await page.keyboard.press("Escape");
  await expect(page.locator('[data-machine^="NAT"] .cover-nat').first()).toBeFocused();
});

test("on paper stand the story, the whole ladder and the tables, black on white", async ({ page }) => {
  await open(page, "#v=1&s=twenty-second-timeouts&all=1&m=dark");
  const rows = await page.evaluate(() => {
    matchMedia("print").addEventListener("change", ({ matches }) => {
      if (matches) Object.assign(window, { printed: document.querySelectorAll("#ladder li").length });
    });
    return (window as unknown as Bare).pinhole.ladder(true).rows.length;
  });
  expect(await page.locator("#ladder li").count()).toBeLessThan(rows);
  await page.pdf();
  expect(await page.evaluate(() => (window as unknown as { printed: number }).printed)).toBe(rows);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  for (const part of ["#story .line", "#ladder", "#tables", "#receipt"]) {
    await expect(page.locator(part).first()).toBeVisible();
    await expect(page.locator(part).first()).toHaveCSS("color", "rgb(0, 0, 0)");
  }
  for (const part of ["body", "#tables"]) await expect(page.locator(part)).toHaveCSS("background-color", "rgb(255, 255, 255)");
  for (const part of ["header", "footer", "#drop"]) await expect(page.locator(part)).toBeHidden();
  const cut = await page.locator("#ladder .rows").evaluate((list) => list.scrollHeight - list.clientHeight);
  expect(cut).toBeLessThanOrEqual(1);
});
