// Mark the words of an answer that come from a fact of the prompt: its numbers and its content words, letter by letter.
import { make } from "./elements.js";

const TOKEN = /\d+(?:[.,/]\d+)*|[\p{Script=Han}]+|[\p{L}][\p{L}\p{N}'’-]*/gu;
const COMMON = new Set("about after also been before from have into just like more most much near none noted only other over record said some such than that their them then there these they this those today very week weeks were what when which while with would year years your yours month months days normal value current latest last noted measured".split(" "));
const HAN = /\p{Script=Han}/u;

// one digit alone stands in many facts
const isTelling = (token) => (/\d/.test(token) ? token.length > 1 : token.length > 3 && !COMMON.has(token));

/** Words of Chinese have no spaces between them: two characters that stand together in a fact. */
const pairs = (text) => Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2));

function collect(segments) {
  const found = new Map();
  for (const segment of segments) {
    for (const [token] of segment.text.toLowerCase().matchAll(TOKEN)) {
      for (const part of HAN.test(token) ? pairs(token) : isTelling(token) ? [token] : []) if (!found.has(part)) found.set(part, segment);
    }
  }
  return found;
}

/** `text` as nodes, with every word marked that a kept segment has too; its fact is the mark's title. */
export function markFacts(text, segments) {
  const facts = collect(segments.filter((s) => s.kept && s.key !== "safety"));
  const nodes = [];
  let end = 0;
  const mark = (from, to, segment) => {
    if (from > end) nodes.push(text.slice(end, from));
    nodes.push(make("mark", { title: segment.text, "data-fact": segment.key }, text.slice(from, to)));
    end = to;
  };
  for (const match of text.matchAll(TOKEN)) {
    const token = match[0].toLowerCase();
    if (!HAN.test(token)) {
      if (facts.has(token)) mark(match.index, match.index + token.length, facts.get(token));
      continue;
    }
    for (let i = 0; i + 1 < token.length; i += 1) {
      let last = i;
      const segment = facts.get(token.slice(i, i + 2));
      if (!segment) continue;
      while (last + 2 <= token.length && facts.has(token.slice(last, last + 2))) last += 1;
      mark(match.index + i, match.index + last + 1, segment);
      i = last;
    }
  }
  return [...nodes, text.slice(end)];
}
