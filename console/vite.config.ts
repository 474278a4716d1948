/// <reference types="vitest/config" />
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** The server whose API and websockets `npm run dev` uses. */
const server = process.env.WARMLINE_URL ?? "http://127.0.0.1:8080";
const passed = { target: server, ws: true };

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: "dist/site",
    emptyOutDir: true,
    target: "es2022",
    // The policy of the pages allows files of ours only: nothing becomes a data: address.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: "index.html", widget: "src/widget/widget.ts" },
      // Web sites name the call button's script, so that its name stays.
      output: { entryFileNames: ({ name }) => (name === "widget" ? "widget.js" : "assets/[name]-[hash].js") },
    },
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
  },
  worker: { format: "es" },
  server: { proxy: { "/api": passed, "/agent/ws": passed, "/media": passed } },
  test: { include: ["src/**/*.test.ts"] },
});
