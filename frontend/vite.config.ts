/// <reference types="vitest/config" />
import { defineConfig, type Plugin } from "vite";

/** Calls of `h` are shorter than those of the automatic runtime: children need no name and no array. */
const shortJsx: Plugin = {
  name: "short-jsx",
  enforce: "pre",
  transform: {
    filter: { id: /\.tsx$/ },
    handler: (code) => ({ code: `import { h, Fragment } from "preact";${code}`, map: null }),
  },
};

// The host imports `static/index.js` under a <base href> of its own, so every URL is relative and no name is hashed.
// Not `build.lib`: that leaves ES output unminified.
export default defineConfig({
  base: "./",
  plugins: [shortJsx],
  oxc: { jsx: { runtime: "classic", pragma: "h", pragmaFrag: "Fragment" } },
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
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "[name].js" } } },
  assetsInclude: ["**/*.bin"],
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
