import { defineConfig } from "vite";

/** One script, one style sheet, by names that stay: the server knows them as routes and tells versions by ETag. */
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/blackbox/server/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        entryFileNames: "dashboard.js",
        assetFileNames: "dashboard[extname]",
        codeSplitting: false,
      },
    },
  },
  test: { include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
