// Packets as octets: what a field covers, what a NAT changed, what is sealed.

import { type Locator, type Page, expect, test } from "@playwright/test";
import { open } from "./page";

const lit = async (capture: Locator): Promise<number[]> =>
  (await capture.locator(".hex .lit").evaluateAll((cells) => cells.map((cell) => Number((cell as HTMLElement).dataset["at"]))));

const span = async (field: Locator): Promise<number[]> => {
  const [from, length] = [Number(await field.getAttribute("data-from")), Number(await field.getAttribute("data-length"))];
  return Array.from({ length }, (_, at) => from + at);
};

const capture = (page: Page, number: number): Locator => page.locator("#bytes .capture:not(.opened)").nth(number);

test("a field that is pointed at marks its octets and no other, by pointer and by key", async ({ page }) => {
  await open(page);
  const first = capture(page, 0);
  const field = first.locator(".field", { hasText: "nonce" }).first();
  const wanted = await span(field);
  expect(wanted.length).toBeGreaterThan(0);
  await field.focus();
  expect(await lit(first)).toEqual(wanted);
  await field.blur();
  expect(await lit(first)).toEqual([]);
  await field.hover();
  expect(await lit(first)).toEqual(wanted);
});

test("an octet marks the fields that it is in, by pointer and by key", async ({ page }) => {
  await open(page);
  const first = capture(page, 0);
  const hex = first.locator(".hex");
  const inside = async (at: number): Promise<void> => {
    const named = first.locator(".fields .lit");
    await expect.poll(() => named.count()).toBeGreaterThan(0);
    for (const field of await named.all()) expect(await span(field)).toContain(at);
    const leaf = await named.last().locator("b").innerText();
    expect(await first.locator(".field", { has: page.locator(`b:text-is("${leaf}")`) }).count()).toBeGreaterThan(0);
  };
  await hex.locator('[data-at="12"]').hover();
  await inside(12);
  await expect(first.locator(".fields .lit b").last()).toHaveText("source address");
  await hex.focus();
  await page.keyboard.press("Home");
  for (let at = 0; at < 9; at += 1) await page.keyboard.press("ArrowRight");
  await inside(9);
  await expect(first.locator(".fields .lit b").last()).toHaveText("protocol");
  await expect(hex).toHaveAttribute("aria-valuetext", /protocol/);
});

test("a NAT on the way out changes source address, source port, checksums and time to live, and nothing else", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  const after = capture(page, 1);
  const names = await after.locator(".field.differs b").allInnerTexts();
  expect(names).toEqual(["time to live", "checksum", "source address", "source port", "checksum"]);
  const octets = await after.locator(".hex .differs").evaluateAll((cells) => cells.map((cell) => Number((cell as HTMLElement).dataset["at"])));
  const allowed = [8, 10, 11, 12, 13, 14, 15, 20, 21, 26, 27];
  expect(octets.filter((at) => !allowed.includes(at))).toEqual([]);
  await expect(capture(page, 0).locator(".differs")).toHaveCount(0);
});

test("what a NAT sees and what the ends see stand side by side", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  await page.keyboard.press("End");
  const connect = page.locator('#ladder .packet-row', { hasText: "S tells B A's endpoints" }).first();
  await connect.locator(".cover").click();
  const opened = page.locator("#bytes .capture.opened");
  await expect(opened).toBeVisible();
  await expect(opened.locator(".field", { hasText: "Introduce" }).first()).toBeVisible();
  const sealed = await capture(page, 0).locator(".hex").innerText();
  const plain = await opened.locator(".hex").innerText();
  expect(sealed.replace(/\s/g, "")).not.toContain(plain.replace(/\s/g, "").slice(0, 24));
});

test("in Chinese a field's meaning stands beside its name, which is the specification's", async ({ page }) => {
  await open(page);
  const field = page.locator("#bytes .field", { hasText: "time to live" }).first();
  await expect(field).toHaveText("time to live 64");
  await page.keyboard.press("l");
  await expect(field).toHaveText("time to live生存时间 64");
});
