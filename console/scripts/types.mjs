// Usage: node scripts/types.mjs      Writes src/api/schema.d.ts from openapi.json, if that is newer.
import { readFile, stat, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../openapi.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);
const age = async (file) => (await stat(file).catch(() => null))?.mtimeMs ?? 0;
if ((await age(target)) < (await age(source))) {
  const types = await openapiTS(JSON.parse(await readFile(source, "utf8")), { alphabetize: true });
  await writeFile(target, `// Made from openapi.json by scripts/types.mjs.\n\n${astToString(types)}`);
}
