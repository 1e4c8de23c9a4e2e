// A picture of every scenario at its key frame, each checked: `cargo xtask viz shots`.

import { mkdir, writeFile } from "node:fs/promises";
import { expect, test } from "@playwright/test";
import { problems } from "./layout";
import { SIZES, VIEWS, names, show } from "./scenes";

const FOLDER = new URL("../dist/shots/", import.meta.url);

test.skip(process.env["SHOTS"] === undefined, "pictures are taken on request");

test("every scenario in every view", async ({ page }) => {
  test.setTimeout(3_000_000);
  await mkdir(FOLDER, { recursive: true });
  const only = process.env["ONLY"]?.split(",");
  const wanted = (await names(page)).filter((name) => only === undefined || only.includes(name));
  const found: string[] = [];
  const sheet: string[] = [];
  for (const [size, [width]] of Object.entries(SIZES)) {
    for (const view of VIEWS) {
      for (const name of wanted) {
        await show(page, name, size as keyof typeof SIZES, view);
        const here = await problems(page);
        found.push(...here.map((problem) => `${name} ${size} ${view}: ${problem}`));
        const file = `${name}-${size}-${view}.png`;
        await page.screenshot({ path: new URL(file, FOLDER).pathname, fullPage: size === "phone" });
        const note = here.map((problem) => `<li>${escape(problem)}</li>`).join("");
        sheet.push(`<figure id="${name}-${size}-${view}"><a href="${file}"><img loading="lazy" width="${width / 3}" src="${file}" alt=""></a><figcaption>${name} ${size} ${view}<ul>${note}</ul></figcaption></figure>`);
      }
    }
  }
  const style = "body{font:14px sans-serif;display:flex;flex-wrap:wrap;gap:12px;align-items:start}figure{margin:0}img{border:1px solid #888}li{color:#b00}";
  await writeFile(new URL("index.html", FOLDER), `<!doctype html><meta charset="utf-8"><title>Pinhole: every scenario</title><style>${style}</style>${sheet.join("\n")}`);
  console.log(`${sheet.length} pictures in ${FOLDER.pathname}index.html`);
  expect(found).toEqual([]);
});

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
