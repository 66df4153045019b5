/// <reference types="vitest/config" />
import { defineConfig } from "vite";

// The host imports `static/index.js` under a <base href> of its own, so every URL is relative and no name is hashed.
// Not `build.lib`: that leaves ES output unminified.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../tb_plugin/torchvitals_tb/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: "src/index.tsx",
      preserveEntrySignatures: "strict",
      output: {
        format: "es",
        entryFileNames: "index.js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
  worker: { format: "es" },
  assetsInclude: ["**/*.bin"],
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
