// Every scenario on the page: worded, with the texts' own addresses, and with the outcome that its file states.

import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { type Bare, digest, open, scenarios } from "./page";

interface Scenario {
  name: string;
  marks?: { step: string; hops: string[] }[];
  expect: { paths?: { kind: string }[]; tables?: Record<string, string[]> };
}

const FOLDER = new URL("../../../sim/scenarios/", import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const files = FILES.map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Scenario);
const KINDS: Record<string, string> = { public: "direct", private: "direct", relayed: "relayed", none: "none" };

/** Whether a text is as expected, where `*` stands for any number. */
const like = (expected: string, found: string): boolean =>
  new RegExp(`^${expected.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\d+")}$`).test(found);

test("all scenarios are there, in numbered lessons", async ({ page }) => {
  await open(page);
  const names = await scenarios(page);
  expect([...names].sort()).toEqual(files.map((file) => file.name).sort());
  const offered = page.locator("#scenario option");
  const values = await offered.evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
  expect([...values].sort()).toEqual([...names].sort());
  const groups = await page.locator("#scenario optgroup").evaluateAll((all) => all.map((group) => (group as HTMLOptGroupElement).label));
  expect(groups.filter((label) => /^\d+\. \S/.test(label)).length).toBe(18);
});

for (const language of ["en", "zh"]) {
  test(`every scenario has its words and its outcome: ${language}`, async ({ page }) => {
    test.setTimeout(240_000);
    await open(page);
    for (const { name, expect: stated } of files) {
      await page.evaluate((hash) => { location.hash = hash; }, `#v=1&s=${name}&l=${language}&all=1`);
      await expect(page.locator("#scenario")).toHaveValue(name);
      expect(await page.locator("body").innerText(), name).not.toContain("⟦");
      expect((await page.locator("#story .line").innerText()).length, name).toBeGreaterThan(5);
      const kind = stated.paths?.[0]?.kind;
      if (kind !== undefined) await expect(page.locator("#story .where > .outcome"), name).toHaveClass(`outcome ${KINDS[kind] ?? "?"}`);
    }
  });
}

test("the tables at the end are those of the texts", async ({ page }) => {
  test.setTimeout(240_000);
  await open(page);
  for (const { name, expect: stated } of files) {
    if (stated.tables === undefined) continue;
    await page.evaluate((hash) => { location.hash = hash; }, `#v=1&s=${name}&i=99999`);
    await expect(page.locator("#scenario")).toHaveValue(name);
    for (const [nat, wanted] of Object.entries(stated.tables)) {
      const rows = await page.locator(`#tables table[data-nat="${nat}"] tbody tr[data-row]`).evaluateAll((all) =>
        all.map((row) => {
          const [internal, external] = Array.from(row.querySelectorAll("td code"), (code) => code.textContent);
          const remotes = Array.from(row.querySelectorAll("li"), (item) => item.firstChild?.textContent).sort();
          return `${row.querySelector("small")?.textContent === "TCP" ? "tcp " : ""}${internal} <=> ${external} {${remotes.join(", ")}}`;
        }));
      const ordered = wanted.map((row) => row.replace(/\{(.*)\}/, (_, remotes: string) => `{${remotes.split(", ").sort().join(", ")}}`));
      const missing = ordered.filter((row) => !rows.some((found) => like(row, found)));
      expect(missing, `${name} ${nat}: ${rows.join("; ")}`).toEqual([]);
      expect(rows.length, `${name} ${nat}`).toBe(wanted.length);
    }
  }
});

test("the numbered packets have the addresses of the texts, in every network that they cross", async ({ page }) => {
  test.setTimeout(240_000);
  await open(page);
  for (const { name, marks = [] } of files) {
    const shown = await page.evaluate((hash) => {
      const { pinhole } = window as unknown as Bare;
      pinhole.open(hash);
      const rows = pinhole.ladder(false).rows;
      return rows.flatMap((row) => (row.row === "packet" ? [{ step: row.step, hops: row.hops.map((hop) => `${hop.source} -> ${hop.destination}`) }] : []));
    }, `#v=1&s=${name}&i=0`);
    for (const { step, hops } of marks) {
      const wanted = hops.map((hop) => hop.replace(/^.*?: /, ""));
      const found = shown.some((row) => (row.step ?? "-") === step && row.hops.length === wanted.length && wanted.every((hop, at) => like(hop, row.hops[at] ?? "")));
      expect(found, `${name} ${step}: ${wanted.join("; ")}`).toBe(true);
    }
  }
});

test("slips of the texts are told where one meets them", async ({ page }) => {
  await open(page, "#v=1&s=f10-simultaneous-open");
  await page.locator(".errata summary").click();
  await expect(page.locator(".errata li").first()).toContainText("310000");
  await page.keyboard.press("ArrowRight");
  await expect(page.locator(".errata li").first()).toBeVisible();
  await open(page, "#v=1&s=f6-same-nat&l=zh");
  await page.locator(".errata summary").click();
  await expect(page.locator(".errata")).toContainText("10.0.0.1:124");
});

test("a run that is not direct says what would have made it so, and a remedy does", async ({ page }) => {
  await open(page, "#v=1&s=symmetric-pair");
  await expect(page.locator("#story .outcome.relayed")).toBeVisible();
  await page.locator("#remedies").click();
  const remedy = page.locator(".remedy").first();
  await expect(remedy).toBeVisible({ timeout: 30_000 });
  await remedy.click();
  await expect(page.locator("#story .outcome.direct")).toBeVisible();
  await expect(page.locator("#remedies")).toHaveCount(0);
});

test("who wins the race of two SYNs is the learner's choice", async ({ page }) => {
  await open(page, "#v=1&s=crossing-syns&i=0");
  const direct = await digest(page);
  const at = await page.evaluate(() => {
    const { pinhole } = window as unknown as Bare;
    const { length } = pinhole.open(location.hash);
    for (let index = 0; index < length; index += 1) {
      const frame = pinhole.seek(index);
      if (frame.time > 2_000_000 && frame.flights.filter((flight) => flight.to === "NAT B").length === 2) return index;
    }
    return -1;
  });
  for (const [source, outcome] of [["155.99.25.11:62000", "failed"], ["10.1.1.3:1234", "direct"]] as const) {
    await open(page, `#v=1&s=crossing-syns&i=${at}`);
    await page.keyboard.press("r");
    await page.locator("#dialog .choice", { hasText: source }).filter({ hasText: "NAT B" }).click();
    await expect(page.locator(`#story .outcome.${outcome}`)).toBeVisible();
    if (outcome === "direct") expect(await digest(page)).toBe(direct);
  }
});
