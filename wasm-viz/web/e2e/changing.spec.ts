// Changing a run: NATs, faults, branches, suggestions, the matrix.

import { type Page, expect, test } from "@playwright/test";
import { type Bare, digest, open, where } from "./page";

test("a NAT that is changed changes the outcome, and changed back the run is the same again", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  const before = await digest(page);
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
  await page.locator('[data-machine="NAT A"] [role=button]').click();
  await page.locator("#field-mapping").selectOption("address-and-port-dependent");
  await page.locator("#field-fresh-port").selectOption("random");
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
  await page.locator(".edits .remove").last().click();
  await page.locator(".edits .remove").last().click();
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
  expect(await digest(page)).toBe(before);
});

test("a preset changes the fields that it stands for", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  await page.locator('[data-machine="NAT A"] [role=button]').click();
  await page.locator('[data-preset="symmetric"]').click();
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
  await expect(page.locator("#field-mapping")).toHaveValue("address-and-port-dependent");
  await page.locator('[data-preset="port-restricted-cone"]').click();
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
});

test("a suggestion makes a run in which the same packet passes", async ({ page }) => {
  await open(page);
  const journey = await page.locator("#ladder .packet-row.marked").getAttribute("data-journey");
  await page.locator("#why-not").click();
  const suggestions = page.locator(".suggestion");
  expect(await suggestions.count()).toBeGreaterThanOrEqual(2);
  await suggestions.first().click();
  await expect(page.locator(".branches button")).toHaveCount(2);
  await page.locator("#ladder input[type=checkbox]").check();
  await page.keyboard.press("End");
  const row = page.locator(`#ladder .packet-row[data-journey="${journey ?? ""}"]`);
  const label = await page.evaluate((journey) => {
    const ladder = (window as unknown as Bare).pinhole.ladder(true);
    const row = ladder.rows.find((row) => row.row === "packet" && row.journey === journey);
    return row?.row === "packet" ? row.hops.map((hop) => `${hop.to} ${hop.fate}`) : [];
  }, Number(journey));
  expect(label).toContain("NAT B passed");
  expect(await row.count()).toBeLessThanOrEqual(1);
});

const FAULTS: [string, (page: Page) => Promise<void>][] = [
  ["dropped by a key", (page) => page.keyboard.press("d")],
  ["delayed", (page) => page.locator("#delay").click()],
  ["duplicated", (page) => page.locator("#duplicate").click()],
  ["reordered", (page) => page.locator("#reorder").click()],
];

for (const [name, act] of FAULTS) {
  test(`a packet is ${name}: another run, one more change, and without it the same run again`, async ({ page }) => {
    await open(page, "#v=1&s=f5-mirrored&all=1");
    const edits = await page.locator(".edits li").count();
    const before = await digest(page);
    await act(page);
    await expect(page.locator(".edits li")).toHaveCount(edits + 1);
    expect(await digest(page)).not.toBe(before);
    await page.locator(".edits .remove").last().click();
    await expect(page.locator(".edits li")).toHaveCount(edits);
    expect(await digest(page)).toBe(before);
  });
}

test("what the peers may try is changed like a NAT: listed, linked, removed", async ({ page }) => {
  await open(page, "#v=1&s=f9-peers");
  const before = await digest(page);
  for (const peer of ["A", "B"]) {
    await page.locator(`#map-${peer}`).press("Enter");
    await page.locator("#strategy-plain").click();
    await page.keyboard.press("Escape");
  }
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
  await expect(page.locator(".edits li")).toHaveText([/^A may only try plain/, /^B may only try plain/]);
  const plain = await digest(page);
  await page.reload();
  await expect(page.locator(".edits li")).toHaveCount(2);
  expect(await digest(page)).toBe(plain);
  await page.locator(".edits .remove").last().click();
  await page.locator(".edits .remove").last().click();
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
  expect(await digest(page)).toBe(before);
});

test("a NAT restarts by a click, and forgets", async ({ page }) => {
  await open(page, "#v=1&s=f5-mirrored");
  await page.locator('[data-machine="NAT A"] [role=button]').click();
  const before = await digest(page);
  await page.locator("#reboot").click();
  await expect(page.locator(".edits li").last()).toContainText("NAT A");
  expect(await digest(page)).not.toBe(before);
});

test("two runs stand side by side with one cursor, and part where the change is", async ({ page }) => {
  await open(page, "#v=1&s=f5-mirrored&all=1");
  await page.keyboard.press("d");
  await page.keyboard.press("End");
  await page.keyboard.press("c");
  await expect(page.locator('[data-ladder="here"]')).toBeVisible();
  await expect(page.locator('[data-ladder="there"]')).toBeVisible();
  // Both are in the window, on a projector, too.
  await page.setViewportSize({ width: 1024, height: 768 });
  const lower = await page.locator('[data-ladder="there"]').boundingBox();
  expect((lower?.y ?? Infinity) + (lower?.height ?? 0)).toBeLessThan(768 - 42);
  await page.locator(".parted button").click();
  const parted = await page.evaluate(() => (window as unknown as Bare).pinhole.divergence(0));
  expect(parted).not.toBeNull();
  expect(await where(page)).toMatch(new RegExp(`^\\D*${(parted ?? 0) + 1}\\D`));
  const seen = page.locator('[data-ladder="there"] .packet-row:not(.future)');
  const before = await seen.count();
  await page.keyboard.press("Home");
  await expect.poll(() => seen.count()).toBeLessThan(before);
  const scrolled = (): Promise<number[]> => page.locator(".rows").evaluateAll((lists) => lists.map((list) => list.scrollTop));
  expect(await scrolled()).toEqual([0, 0]);
  await page.keyboard.press("End");
  expect(Math.min(...(await scrolled()))).toBeGreaterThan(100);
  await page.keyboard.press("x");
  expect(await where(page)).toMatch(new RegExp(`^\\D*${(parted ?? 0) + 1}\\D`));
  // The key alone opens the other run, too.
  await page.keyboard.press("Escape");
  await page.keyboard.press("Home");
  await page.keyboard.press("x");
  await expect(page.locator('[data-ladder="there"]')).toBeVisible();
  expect(await where(page)).toMatch(new RegExp(`^\\D*${(parted ?? 0) + 1}\\D`));
});

test("the matrix is made of runs, and a cell opens its own", async ({ page }) => {
  test.setTimeout(120_000);
  await open(page);
  await page.keyboard.press("m");
  const cell = page.locator('[data-cell="symmetric symmetric"]');
  await expect(cell).toHaveClass(/relayed/, { timeout: 90_000 });
  await cell.click();
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
});
