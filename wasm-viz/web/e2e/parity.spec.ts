// The browser runs what runs natively: equal digests, equal frames, whichever way one steps.
//
// `cargo xtask viz test` writes what the native program says into native.json before it starts the tests.

import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import type { Cell } from "../src/frame";
import { type Bare, open, scenarios } from "./page";

interface Native {
  runs: Record<string, Run>;
  cells: Cell[];
}

interface Run {
  digest: string;
  length: number;
  frames: [number, number][];
}

/** What the native program says; it is an error not to have asked it. */
function native(): Native {
  expect(existsSync(FILE), "cargo xtask viz test writes e2e/native.json").toBe(true);
  return JSON.parse(readFileSync(FILE, "utf8")) as Native;
}

const FILE = new URL("./native.json", import.meta.url);

test("every scenario has the digest and the frames that it has natively", async ({ page }) => {
  test.setTimeout(300_000);
  const { runs } = native();
  await open(page);
  expect(Object.keys(runs).sort()).toEqual((await scenarios(page)).sort());
  for (const [name, wanted] of Object.entries(runs)) {
    const found = await page.evaluate(({ name, steps }) => {
      const { pinhole } = window as unknown as Bare;
      const { length } = pinhole.open(`#v=1&s=${name}&i=0`);
      const encoder = new TextEncoder();
      const sum = (text: string): number =>
        encoder.encode(text).reduce((sum, octet) => Math.imul(sum ^ octet, 0x01000193), 0x811c9dc5) >>> 0;
      const frames = steps.map((index) => [index, sum(JSON.stringify({ ok: pinhole.seek(index) }))]);
      return { digest: pinhole.digest(), length, frames };
    }, { name, steps: wanted.frames.map(([index]) => index) });
    expect(found, name).toEqual(wanted);
  }
});

test("every cell of the matrix is the run that it is natively", async ({ page }) => {
  test.setTimeout(120_000);
  const { cells } = native();
  expect(cells.length).toBeGreaterThanOrEqual(36);
  await open(page);
  for (const cell of cells) {
    const found = await page.evaluate(({ a, b }) => (window as unknown as Bare).pinhole.cell(a, b), cell);
    expect(found, `${cell.a} ${cell.b}`).toEqual(cell);
  }
});

test("stepping there, coming back from the end and jumping there show equal frames, at every step", async ({ page }) => {
  test.setTimeout(300_000);
  await open(page);
  for (const name of await scenarios(page)) {
    const differing = await page.evaluate((name) => {
      const { pinhole } = window as unknown as Bare;
      const { length } = pinhole.open(`#v=1&s=${name}&i=0`);
      const text = (index: number): string => JSON.stringify(pinhole.seek(index));
      const forward = Array.from({ length }, (_, index) => text(index));
      const differing: number[] = [];
      for (let index = length - 1; index >= 0; index -= 1) if (text(index) !== forward[index]) differing.push(index);
      for (let count = 0; count < 40; count += 1) {
        const index = (count * 7919) % length;
        if (text(index) !== forward[index]) differing.push(index);
      }
      return differing;
    }, name);
    expect(differing, name).toEqual([]);
  }
});
