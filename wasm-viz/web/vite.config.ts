import { readFileSync } from "node:fs";
import { type Plugin, defineConfig } from "vite";
import { slug } from "./src/slug.ts";

// The page for a web server. The one-file page is built from the same sources by `cargo xtask viz build`,
// with `--mode offline`: one classic script, the module in it as text.
export default defineConfig(({ mode }) => ({
  plugins: [words()],
  base: "./",
  build:
    mode === "offline"
      ? {
          outDir: "dist/offline",
          target: "es2022",
          cssCodeSplit: false,
          assetsInlineLimit: 100_000_000,
          lib: { entry: "src/main.ts", formats: ["iife"], name: "pinhole", fileName: () => "page.js", cssFileName: "page" },
        }
      : // There is one module, so there is nothing to load before it.
        { outDir: "dist/served", target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
}));

/** The templates of both languages as one module with the keys once: a fifth less to load than two tables. */
function words(): Plugin {
  const read = (name: string): Record<string, string> =>
    JSON.parse(readFileSync(new URL(`i18n/${name}.json`, import.meta.url), "utf8")) as Record<string, string>;
  return {
    name: "words",
    resolveId: (id) => (id === "virtual:words" ? "\0words" : undefined),
    load(id) {
      if (id !== "\0words") return undefined;
      const [en, zh] = [read("en"), read("zh-Hans")];
      const keys = Object.keys(en).sort();
      const lines = (table: Record<string, string>): string => {
        const all = keys.map((key) => table[key] ?? "");
        if (all.some((line) => line === "" || line.includes("\n"))) throw new Error("a template is missing or has a line end");
        return JSON.stringify(all.join("\n"));
      };
      // What keys begin with stands once, before them; with spaces they are more like the sentences beside them,
      // and what the English one tells is not said again.
      let before = "";
      const short = keys.flatMap((key) => {
        const at = key.lastIndexOf(".") + 1;
        const [group, rest] = [key.slice(0, at) || ".", key.slice(at)];
        const line = slug(en[key] ?? "") === rest ? "=" : rest.replaceAll("-", " ");
        const lines = group === before ? [line] : [group, line];
        before = group;
        return lines;
      });
      return `export const keys = ${JSON.stringify(short.join("\n"))}; export const en = ${lines(en)}; export const zh = ${lines(zh)};`;
    },
  };
}
