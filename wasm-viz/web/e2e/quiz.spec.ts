// Predicting: the page asks before a NAT decides, and what happens then is the answer.

import { expect, test } from "@playwright/test";
import { type Bare, open, where } from "./page";

test("a question hides the answer until it is given", async ({ page }) => {
  await open(page);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("p");
  const before = await where(page);
  await page.keyboard.press("ArrowRight");
  await expect(page.locator(".quiz")).toBeVisible();
  expect(await where(page)).toBe(before);
  await expect(page.locator("tr.decided")).toHaveCount(0);
  await expect(page.locator(".verdict")).toHaveCount(0);
  await expect(page.locator("#live")).not.toContainText("drop");
  expect(await page.locator("#slider").getAttribute("aria-valuetext")).not.toContain("drop");
  // What the packet looks like behind the NAT is part of the answer.
  expect(await page.locator("#bytes .capture:not(.opened)").count()).toBe(2);
  await page.keyboard.press("1");
  await expect(page.locator(".answer")).toBeVisible();
  await expect(page.locator(".answer")).toContainText("NAT B drops");
  await page.keyboard.press("ArrowRight");
  await expect(page.locator(".quiz")).toHaveCount(0);
  await expect(page.locator(".verdict.dropped")).toBeVisible();
  expect(await where(page)).not.toBe(before);
});

test("the packet is not shown behind the NAT before the question is answered", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching&i=0");
  await page.keyboard.press("p");
  await page.keyboard.press("ArrowRight");
  await expect(page.locator(".quiz")).toBeVisible();
  const journey = await page.evaluate(() => (window as unknown as Bare).pinhole.question(1)?.journey);
  expect(journey).not.toBeUndefined();
  await expect(page.locator("#bytes .capture:not(.opened)")).toHaveCount(1);
  // Whichever NAT it is, neither mapping is told before its packet was let out.
  const told = await page.locator("#receipt, #bytes").allInnerTexts();
  expect(told.join(" ")).not.toMatch(/155\.99\.25\.11:62000|138\.76\.29\.7:31000/);
  for (const choice of [1, 2, 3, 4]) {
    await page.keyboard.press(String(choice));
    if (await page.locator(".answer.right").isVisible()) break;
  }
  await expect(page.locator(".answer.right")).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.locator(".quiz")).toHaveCount(0);
});

test("over a whole scenario the graded answer is what the next step shows", async ({ page }) => {
  await open(page, "#v=1&s=f6-same-nat");
  const { asked, wrong } = await page.evaluate(() => {
    const { pinhole } = window as unknown as Bare;
    const length = pinhole.open("#v=1&s=f6-same-nat").length;
    let asked = 0;
    const wrong: string[] = [];
    for (let index = 1; index < length; index += 1) {
      const question = pinhole.question(index);
      if (question === null) continue;
      asked += 1;
      const right = question.choices.filter((_, choice) => pinhole.grade(index, choice).right);
      const frame = pinhole.seek(index);
      const of = frame.happenings.filter((happening) => happening.journey === question.journey);
      const sent = of.find((happening) => happening.verdict === "sent");
      const [answer] = right;
      const key = answer?.text.key ?? "";
      const operand = Object.values(answer?.text.with ?? {})[0];
      const shown =
        sent === undefined
          ? ["choice.dropped", "choice.answered"].includes(key)
          : key === "choice.passes-fresh" || operand === sent.packet.source || operand === sent.packet.destination;
      if (right.length !== 1 || !shown) wrong.push(`${index} ${key}`);
    }
    return { asked, wrong };
  });
  expect(asked).toBeGreaterThan(10);
  expect(wrong).toEqual([]);
});
