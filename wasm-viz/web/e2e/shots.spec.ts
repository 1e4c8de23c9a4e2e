// Every scenario at its key frame: `SHOTS=1 npx playwright test shots`.

import { expect, test } from "@playwright/test";

const SIZES = { desk: [1440, 900], small: [1024, 768], phone: [390, 844] } as const;

test.skip(process.env["SHOTS"] === undefined, "pictures are taken on request");

test("pictures", async ({ page }) => {
  test.setTimeout(1_800_000);
  await page.goto("/");
  const options = page.locator("#scenario option");
  const all = await options.evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
  const only = process.env["ONLY"]?.split(",");
  for (const name of all.filter((name) => only === undefined || only.includes(name))) {
    for (const [size, [width, height]] of Object.entries(SIZES)) {
      for (const view of ["en-light", "zh-dark"]) {
        const [language, theme] = view.split("-");
        await page.setViewportSize({ width, height });
        await page.goto("about:blank");
        await page.goto(`/#v=1&s=${name}&l=${language ?? "en"}&m=${theme ?? "light"}`);
        await expect(page.locator("#where")).toBeVisible();
        await page.screenshot({ path: `shots/${name}-${size}-${view}.png` });
      }
    }
  }
});
