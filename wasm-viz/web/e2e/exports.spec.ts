// What leaves the page: the ladder as picture and text, the packets as a capture file.

import { readFileSync } from "node:fs";
import { type Page, expect, test } from "@playwright/test";
import { type Bare, open } from "./page";

async function saved(page: Page, id: string): Promise<Buffer> {
  await page.keyboard.press("e");
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`#${id}`).click()]);
  const octets = readFileSync(await download.path());
  await page.keyboard.press("Escape");
  return octets;
}

test("the picture stands alone and has the rows of the ladder", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  const rows = await page.evaluate(() => (window as unknown as Bare).pinhole.ladder(false).rows.length);
  const picture = (await saved(page, "export-svg")).toString();
  expect(picture.match(/data-row=/g)?.length).toBe(rows);
  expect(picture.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|url\(|href=|<script/);
  await page.setContent(picture);
  await expect(page.locator("svg text").first()).toBeVisible();
});

test("the text has a line for each hop", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching");
  const hops = await page.evaluate(() =>
    (window as unknown as Bare).pinhole.ladder(false).rows.flatMap((row) => (row.row === "packet" ? row.hops : [])).length);
  const text = (await saved(page, "export-text")).toString();
  expect(text.split("\n").filter((line) => line.includes("->")).length).toBe(hops);
  expect(text).toContain("155.99.25.11:62000 -> 138.76.29.7:31000");
});

test("the capture file is a pcapng with an interface for each place", async ({ page }) => {
  await open(page, "#v=1&s=f10-simultaneous-open");
  const octets = await saved(page, "export-pcapng");
  expect(octets.subarray(0, 4).toString("hex")).toBe("0a0d0d0a");
  const text = octets.toString("latin1");
  for (const place of ["A (NAT A LAN)", "NAT A (NAT A LAN)", "NAT A (internet)", "S (internet)", "B (NAT B LAN)"]) expect(text).toContain(place);
});
