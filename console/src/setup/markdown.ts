// As much Markdown as the providers' pages use: headings, numbered and other lists, tables as they are, and blocks to copy.

export type Block =
  | { kind: "code"; text: string }
  | { kind: "heading"; text: string }
  | { kind: "text"; text: string; item: string | null };

/** A piece of a line. */
export interface Piece {
  kind: "plain" | "code" | "strong";
  text: string;
}

/** The blocks of a text, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let code: string[] | null = null;
  let open = null as { text: string; item: string | null } | null;
  const close = (): void => {
    if (open !== null) blocks.push({ kind: "text", ...open });
    open = null;
  };

  for (const line of markdown.split("\n")) {
    const fence = /^\s*(?:\d+\.\s+)?```/.test(line);
    if (fence) {
      close();
      if (code === null) code = [];
      else {
        blocks.push({ kind: "code", text: dedented(code) });
        code = null;
      }
      continue;
    }
    if (code !== null) {
      code.push(line);
      continue;
    }
    const heading = /^#+\s+(.*)$/.exec(line);
    const item = /^\s*(\d+\.|-)\s+(.*)$/.exec(line);
    if (heading !== null) {
      close();
      blocks.push({ kind: "heading", text: heading[1] ?? "" });
    } else if (item !== null) {
      close();
      open = { item: item[1] ?? null, text: item[2] ?? "" };
    } else if (line.trim() === "") {
      close();
    } else if (line.startsWith("|")) {
      close();
      if (!/^[|\s:-]+$/.test(line)) blocks.push({ kind: "text", item: "-", text: cells(line) });
    } else {
      open = { item: open?.item ?? null, text: `${open?.text ?? ""} ${line.trim()}`.trim() };
    }
  }
  close();
  return blocks;
}

/** Plain, `code` and **strong** parts of a line; a link is its text. */
export function piecesOf(text: string): Piece[] {
  const plain = text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  return plain
    .split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/)
    .filter((part) => part !== "")
    .map((part) => {
      if (part.startsWith("`") && part.length > 1) return { kind: "code", text: part.slice(1, -1) };
      if (part.startsWith("**")) return { kind: "strong", text: part.slice(2, -2) };
      return { kind: "plain", text: /^\*[^*]+\*$/.test(part) ? part.slice(1, -1) : part };
    });
}

function cells(line: string): string {
  const found = line.split("|").map((cell) => cell.trim());
  return found.filter((cell) => cell !== "").join(": ");
}

/** Without the indent of the list the block stands in. */
function dedented(lines: string[]): string {
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length);
  const indent = Math.min(...indents, 40);
  return lines.map((line) => line.slice(indent)).join("\n");
}
