// What a clinician wrote to this very question, the fact behind each sentence, and which prompts carried that fact.
import { ask } from "./api.js";
import { byId, make, table } from "./elements.js";
import { phrase, word } from "./words.js";

const PROMPTS = ["refined", "initial", "nearest", "none"];

/** Fetch and lay out the reply; where there is none, or a token is no clinician's, everything else is shown all the same. */
export async function showReply(asked, signal) {
  const box = byId("reply");
  box.hidden = true;
  try {
    const written = await ask("page/api/reply", asked, signal);
    if (written.sentences.length) layOut(box, written);
  } catch (problem) {
    if (problem.name === "AbortError" || problem.status === 401) throw problem;
  }
}

function layOut(box, written) {
  const columns = [{ name: word("sentence") }, { name: word("factBehind") }, ...PROMPTS.map((name) => ({ name: word("prompts")[name] }))];
  const mark = (sentence, name) => (sentence.fact ? (sentence.carried.includes(name) ? make("span", { class: "up" }, "✓") : "–") : "");
  const rows = written.sentences.map((sentence) => [sentence.text, sentence.fact ? sentence.fact.text : word("suitsAnybody"), ...PROMPTS.map((name) => mark(sentence, name))]);
  box.replaceChildren(
    make("h2", { id: "reply-title" }, word("reply")),
    make("p", { class: "hint" }, `${phrase("replyHint", { ago: written.ago })} ${word(written.held_out ? "heldOut" : "trainedOn")}`),
    table("", columns, rows, true),
    make("p", { id: "reply-sum" }, phrase("replySum", { facts: written.facts, ...written.carried })),
  );
  box.hidden = false;
}

/** Offer the questions of the patient whom `chosen()` names that a clinician has answered. */
export async function offerQuestions(chosen, choose) {
  const reference = chosen();
  const box = byId("answered");
  box.replaceChildren();
  if (!reference) return;
  try {
    const found = await ask("page/api/questions", { patient: reference });
    if (chosen() !== reference || !found.questions.length) return;
    box.append(make("span", { class: "hint" }, word("answeredBefore")), ...found.questions.map((text) => make("button", { type: "button", class: "quiet", onclick: () => choose(text) }, text)));
  } catch {
    // offered only: a patient can be asked about without it
  }
}
