// Usage: node scripts/size.mjs      What each page loads before it shows itself, in kB of gzip; fails above the limit.
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 300;
const site = new URL("../dist/site/", import.meta.url);
const manifest = JSON.parse(await readFile(new URL("manifest.json", site), "utf8"));
const packed = new Map();

async function sizeOf(file) {
  if (!packed.has(file)) packed.set(file, gzipSync(await readFile(new URL(file, site)), { level: 9 }).length);
  return packed.get(file);
}

/** The chunk, what it imports, and their styles. */
function files(key, found = new Set()) {
  const { file, css = [], imports = [] } = manifest[key];
  if (found.has(file)) return found;
  for (const each of [file, ...css]) found.add(each);
  for (const each of imports) files(each, found);
  return found;
}

const entry = "index.html";
const frame = "src/session/SignedIn.svelte";
const pages = Object.keys(manifest).filter((key) => key.endsWith("Page.svelte"));
let failed = pages.length === 0;
for (const page of pages) {
  const all = new Set([entry, ...files(entry), ...files(frame), ...files(page)]);
  const sizes = await Promise.all([...all].map(sizeOf));
  const kb = sizes.reduce((sum, size) => sum + size, 0) / 1_000;
  failed ||= kb >= LIMIT_KB;
  console.log(`${kb.toFixed(1).padStart(7)} kB  ${page}`);
}
console.log(`limit ${LIMIT_KB} kB at first load: ${failed ? "EXCEEDED" : "kept"}`);
process.exitCode = failed ? 1 : 0;
