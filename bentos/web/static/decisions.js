// What the refiner kept, moved and left out; how the policy weighed it; and, on demand, what each choice changes.
import { ask } from "./api.js";
import { byId, make, table } from "./elements.js";
import { kindOf, share, showSources } from "./prompt.js";
import { phrase, word } from "./words.js";

const SHOWN = 8; // left-out sentences in sight: the likeliest, or those that were measured

const percent = (p) => (p === null || p === undefined ? "–" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

/** `shown` holds the response, the reference, the question, what the policy weighed, and `reply()` once there is an answer. */
export function showDecisions(shown, effects = null) {
  const { response, weighed } = shown;
  const texts = new Map(response.segments.map((s) => [s.key, s]));
  const measured = new Map([...(effects?.kept ?? []), ...(effects?.left_out ?? [])].map((e) => [e.key, e]));
  const chosen = weighed.choices.filter((c) => c.chosen !== null).sort((a, b) => a.chosen - b.chosen);
  const left = weighed.choices.filter((c) => c.chosen === null).sort((a, b) => measured.has(b.key) - measured.has(a.key) || (b.probability ?? 0) - (a.probability ?? 0) || a.initial - b.initial);
  const rows = (choices) => choices.map((c) => row(c, texts.get(c.key), measured.get(c.key), shown.reference));
  const columns = [
    { name: word("sentence") }, { name: word("kind") }, { name: word("rank"), number: true }, { name: word("fate"), number: true }, { name: word("likeReplies"), number: true },
    { name: word("probability"), number: true }, { name: word("effect"), number: true },
  ];
  const style = weighed.styles ? `${word("styleChosen")}: ${response.style} ${percent(weighed.styles[response.style])} · ${word("stopped")} ${percent(weighed.stop)}` : word("ruled");
  byId("decisions").replaceChildren(
    make("h2", { id: "decisions-title" }, word("decisions")),
    make("p", { class: "hint" }, word("decisionsHint")),
    make("p", { class: "hint" }, style),
    make("p", { class: "hint" }, word(response.versions.ranker ? "likeRepliesHint" : "rankedByNearness")),
    table(`${word("kept")} (${chosen.length})`, columns, rows(chosen), true),
    table(`${word("dropped")} (${left.length})`, columns, rows(left.slice(0, SHOWN)), true),
    left.length > SHOWN ? make("details", {}, make("summary", {}, `${word("others")} (${left.length - SHOWN})`), table(word("others"), columns, rows(left.slice(SHOWN)), true)) : "",
    measurement(shown, effects),
  );
}

function row(choice, segment, effect, reference) {
  const kind = kindOf(segment);
  const open = () => { showSources(segment, reference); byId("sources").focus(); };
  const fate = choice.chosen === null ? word("left") : `${word("place")} ${choice.chosen + 1}`;
  const change = effect ? make("span", { class: effect.net > 0 ? "up" : "down" }, `${effect.net > 0 ? "+" : ""}${effect.net.toFixed(3)}`) : "–";
  return [
    make("button", { type: "button", class: `sentence ${kind}`, onclick: open }, segment.text),
    make("span", { class: `tag ${kind}` }, word("kinds")[kind].split(/[:：]/)[0]),
    `${choice.initial + 1}.`, fate, segment.donors ? `${share(segment)} (${segment.donors})` : "–", segment.guidance && choice.chosen !== null ? make("span", { title: segment.guidance }, word("requiredFact")) : percent(choice.probability), change,
  ];
}

function measurement(shown, effects) {
  if (!shown.reply) return "";
  const status = make("p", { class: "hint", role: "status" });
  const button = make("button", { type: "button", class: "quiet", id: "measure" }, word("measure"));
  button.addEventListener("click", async () => {
    const { text, own } = shown.reply();
    button.disabled = true;
    status.textContent = word("measuring");
    try {
      const { question, reference, response } = shown;
      const found = await ask("page/api/effects", { patient: reference, question, language: response.language, reply: text });
      showDecisions(shown, { ...found, own });
      byId("measure").focus();
    } catch (problem) {
      button.disabled = false;
      status.textContent = problem.message || word("unreachable");
    }
  });
  const box = make("div", {}, make("p", { class: "hint" }, word("measureHint")), button, status);
  if (effects) {
    const values = Object.fromEntries(["refined", "initial", "pinned_only"].map((name) => [name, effects[name].toFixed(3)]));
    const lines = [`${word(effects.own ? "measuredOwn" : "measuredShown")}: ${word("measuredNote")}`, phrase("wholes", values)];
    if (effects.unmeasured) lines.push(word("unmeasured") + effects.unmeasured);
    box.append(...lines.map((line) => make("p", { class: "measured" }, line)), make("p", { class: "hint" }, effects.scorer));
  }
  return box;
}
