import { assert, test } from "vitest";

import { blocksOf, piecesOf } from "./markdown";

const PAGE = `## Connect
1. Configure the server. The Auth Token stands
   on the first page.
   \`\`\`toml
   [server]
   public_url = "https://desk.test"
     indented = true
   \`\`\`
2. Call it.

What we answer:
\`\`\`xml
<Response/>
\`\`\`

| request | fields |
|---|---|
| \`/after\` | \`call\` |
`;

test("a page is headings, steps, text and blocks to copy", () => {
  assert.deepEqual(blocksOf(PAGE), [
    { kind: "heading", text: "Connect" },
    { kind: "text", item: "1.", text: "Configure the server. The Auth Token stands on the first page." },
    { kind: "code", text: '[server]\npublic_url = "https://desk.test"\n  indented = true' },
    { kind: "text", item: "2.", text: "Call it." },
    { kind: "text", item: null, text: "What we answer:" },
    { kind: "code", text: "<Response/>" },
    { kind: "text", item: "-", text: "request: fields" },
    { kind: "text", item: "-", text: "`/after`: `call`" },
  ]);
});

test("a block that begins on the line of its step is a block", () => {
  assert.deepEqual(blocksOf("1. ```toml\n   [a]\n   ```"), [{ kind: "code", text: "[a]" }]);
});

test("a line has code, strong and plain parts, and no links", () => {
  assert.deepEqual(piecesOf("**1.** *Numbers* has `a_b` ([how](x.md#y))."), [
    { kind: "strong", text: "1." },
    { kind: "plain", text: " " },
    { kind: "plain", text: "Numbers" },
    { kind: "plain", text: " has " },
    { kind: "code", text: "a_b" },
    { kind: "plain", text: " (how)." },
  ]);
});
