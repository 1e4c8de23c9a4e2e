import { defineConfig } from "vite";

// The page for a web server. The one-file page is built from the same sources by `cargo xtask viz build`,
// with `--mode offline`: one classic script, the module in it as text.
export default defineConfig(({ mode }) => ({
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
      : { outDir: "dist/served", target: "es2022", assetsInlineLimit: 0 },
}));
