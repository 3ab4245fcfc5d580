// The refined prompt, line by line: each sentence in the colour of its kind, and a way to the entries behind it.
import { ask } from "./api.js";
import { byId, make, table } from "./elements.js";
import { language, phrase, word } from "./words.js";

export const kindOf = (segment) => (segment.pinned ? "pinned" : segment.kind === "peer" ? "peer" : "self");

// The prompt writes some marks of a sentence differently, so that no fence can be closed: compare without them.
const bare = (text) => text.replace(/[<>|`{}‹›¦'()＜＞｜｀｛｝﹤﹥﹛﹜\s]/g, "");

/** The segment that a line of the prompt says, or undefined; each segment is said once. */
function saidBy(line, segments) {
  const text = bare(line);
  return segments.filter((s) => text.endsWith(bare(s.text))).sort((a, b) => b.text.length - a.text.length)[0];
}

/** The share of donors whose clinician took a sentence's fact up. */
export const share = (segment) => `${Math.round(100 * segment.share)} %`;

export function showLegend() {
  byId("legend").replaceChildren(...["pinned", "self", "peer", "style"].map((k) => make("li", { class: k }, word("kinds")[k])));
}

export function showPrompt(response, reference) {
  showLegend();
  const left = response.segments.filter((s) => s.kept);
  const lines = response.prompt.split("\n").filter((line) => line.trim());
  const parts = lines.map((line, i) => {
    const segment = saidBy(line, left);
    if (segment) {
      left.splice(left.indexOf(segment), 1);
      return sentence(line, segment, reference);
    }
    // what follows the fence is the style the policy chose; everything else is the frame of every prompt
    return make("p", { class: i === lines.length - 1 ? "style" : "frame" }, line);
  });
  byId("prompt").replaceChildren(...parts);
  byId("sources").replaceChildren(make("h3", {}, word("sourcesTitle")), make("p", { class: "hint" }, word("noSentence")));
}

function sentence(line, segment, reference) {
  const kind = kindOf(segment);
  return make("button", {
    type: "button", class: `sentence ${kind}`, "aria-pressed": "false", "aria-controls": "sources", "data-key": segment.key,
    title: word("kinds")[kind],
    onclick: (event) => {
      for (const other of document.querySelectorAll("button.sentence")) other.setAttribute("aria-pressed", String(other === event.currentTarget));
      showSources(segment, reference);
    },
  }, line);
}

/** The entries behind one sentence, newest first. */
export async function showSources(segment, reference) {
  const panel = byId("sources");
  const kind = kindOf(segment);
  panel.dataset.key = segment.key;
  panel.replaceChildren(make("h3", {}, word("sourcesTitle")), make("p", { class: `tag ${kind}` }, word("kinds")[kind]), make("p", {}, segment.text));
  if (segment.donors) panel.append(make("p", { class: "hint", id: "donors" }, phrase("takenUp", { share: share(segment), n: segment.donors })));
  if (segment.guidance) panel.append(make("p", { class: "hint", id: "guidance" }, phrase("required", { source: segment.guidance })));
  let found;
  try {
    found = await ask("page/api/events", { patient: reference, sources: segment.sources.slice(0, 64), language: language() });
  } catch (problem) {
    panel.append(make("p", { class: "hint" }, problem.message || word("unreachable")));
    return;
  }
  if (panel.dataset.key !== segment.key) return; // another sentence was chosen meanwhile
  if (found.events.length) {
    const columns = [word("what"), word("value"), word("when")].map((name) => ({ name }));
    const when = (e) => (e.ago === null ? "–" : e.week === null ? e.ago : `${e.ago}, ${phrase("week", { n: e.week })}`);
    panel.append(table("", columns, found.events.map((e) => [e.what, e.value ?? "–", when(e)])));
  }
  for (const source of found.summaries) {
    const [group, detail] = source.split(":");
    const said = word("summaries")[group];
    panel.append(make("p", { class: "hint" }, group === "rules" || !said ? said ?? source : `${said} ${detail.replace("=", " = ")}`));
  }
}
