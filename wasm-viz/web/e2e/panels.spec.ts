// One packet, one sign: what is marked in a panel is marked in all of them.

import { expect, test } from "@playwright/test";
import { open, scrub } from "./page";
import { names, show } from "./scenes";

test("the packet of the step has one sign in map, ladder and receipt, in every scenario", async ({ page }) => {
  test.setTimeout(120_000);
  const other: string[] = [];
  for (const name of await names(page)) {
    await show(page, name, "desk", "en-light");
    const badges = await page.evaluate(() => {
      const of = (spot: string): string => [...new Set(Array.from(document.querySelectorAll(spot), (badge) => badge.textContent))].join(" ");
      return { receipt: of("#receipt .badge"), ladder: of("#ladder .marked .badge"), map: of("#map .flight.marked text") };
    });
    if (badges.receipt === "" || badges.ladder !== badges.receipt || badges.map !== badges.receipt) other.push(`${name} ${JSON.stringify(badges)}`);
  }
  expect(other).toEqual([]);
});

test("a packet that is folded away marks what it is folded into", async ({ page }) => {
  await open(page, "#v=1&s=f5-udp-hole-punching&i=9999");
  const folded = page.locator("#ladder .folded.marked");
  await expect(folded).toHaveCount(1);
  await expect(folded).toContainText(await page.locator("#receipt .badge").innerText());
  await expect(folded.locator("button")).toHaveAttribute("aria-current", "true");
  await folded.locator("button").click();
  await expect(folded).toHaveCount(0);
  await expect(page.locator("#ladder .packet-row.marked .badge")).toHaveText(await page.locator("#receipt .badge").innerText());
  await page.locator("#ladder input[type=checkbox]").uncheck();
  await scrub(page, 33);
  await expect(page.locator("#ladder .packet-row.marked")).toHaveCount(1);
  await expect(folded).toHaveCount(0);
});

test("the ladder opens on the numbered steps by the names that the text gives them", async ({ page }) => {
  await open(page);
  const rows = page.locator("#ladder .packet-row");
  await expect(rows.filter({ hasText: "2050.0 ms" }).locator(".titled")).toHaveText("A punches");
  await expect(rows.filter({ hasText: "2050.0 ms" }).locator(".badge")).toHaveText("5");
  await expect(rows.locator(".titled")).toHaveCount(await rows.count());
  await page.keyboard.press("a");
  await expect(rows.locator(".titled").filter({ hasText: "A punches" })).toHaveCount(1);
  expect(await rows.locator(".titled").count()).toBeLessThan(await rows.count());
  await page.keyboard.press("l");
  await expect(rows.locator(".titled").filter({ hasText: "A 打洞" })).toHaveCount(1);
});

test("what S still does is told from the opening on: nothing for a direct path, everything for a relayed one", async ({ page }) => {
  const duty = page.locator("#tables .duty td");
  for (const [name, told] of [
    ["f5-udp-hole-punching", /^S relays nothing after \d+ ms, keeps 2 registered$/],
    ["f6-same-nat", /^S relays nothing after \d+ ms, keeps 2 registered$/],
    ["symmetric-pair", /^S relays everything \(packets: [1-9]\d*\), keeps 2 registered$/],
  ] as const) {
    await open(page, `#v=1&s=${name}`);
    await expect(duty).toContainText(/^Once there is a path: S relays /);
    const later = await duty.innerText();
    await page.keyboard.press("End");
    await expect(duty).toHaveText(told);
    expect(later).toContain(await duty.innerText());
    await expect(page.locator('#knows td[data-label="S"] li').first()).toContainText(await duty.innerText());
  }
});

test("a packet that turns round runs back beside its way there", async ({ page }) => {
  await open(page, "#v=1&s=f6-same-nat");
  const heights = (step: string): Promise<number> => page.evaluate((wanted) => {
    const row = [...document.querySelectorAll("#ladder .packet-row")].find((one) => one.querySelector(".badge")?.textContent === wanted);
    return new Set(Array.from(row?.querySelectorAll("line.hop") ?? [], (hop) => hop.getAttribute("y1"))).size;
  }, step);
  // A registers past the server's column and back to it; B comes from the other side.
  expect([await heights("1"), await heights("2")]).toEqual([2, 1]);
});
