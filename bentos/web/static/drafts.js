// A reply in the clinic's own sentences, for the clinician alone: accept, edit or reject each, then send what became of it.
import { ask } from "./api.js";
import { byId, make } from "./elements.js";
import { sendFeedback } from "./feedback.js";
import { phrase, word } from "./words.js";

/** Fetch and lay out the draft. Where there is none, as for a token that is no clinician's, the answer follows all the same. */
export async function showDraft(asked, signal) {
  const box = byId("draft");
  box.hidden = true;
  try {
    const draft = await ask("draft", asked, signal);
    box.replaceChildren(make("h2", { id: "draft-title" }, word("draft")), make("p", { class: "hint" }, word("draftHint")), ...laidOut(draft, asked));
    box.hidden = false;
  } catch (problem) {
    if (problem.name === "AbortError" || problem.status === 401) throw problem;
  }
}

function laidOut(draft, asked) {
  const escalation = draft.escalation ? [make("p", { class: "withheld" }, draft.escalation)] : [];
  if (!draft.sentences.length) return [...escalation, make("p", {}, draft.reason)];
  const lines = draft.sentences.map((sentence) => makeLine(sentence));
  const status = make("p", { role: "status", class: "hint" });
  const send = make("button", { type: "submit" }, word("draftSend"));
  const form = make("form", {}, make("ol", { class: "draft" }, ...lines.map((line) => line.item)), make("div", { class: "row" }, send, status));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { answer_id: draft.id, by: "clinician", draft: lines.map((line) => ({ sentence: line.id, outcome: line.outcome() })) };
    const sent = lines.filter((line) => line.outcome() !== "rejected").map((line) => line.text()).join(" ");
    if (sent) Object.assign(body, { edit: draft.escalation ? `${draft.escalation} ${sent}` : sent, question: asked.question });
    await sendFeedback(body, send, status);
  });
  return [...escalation, form];
}

function makeLine(sentence) {
  const text = make("textarea", { rows: 2, maxlength: 1000, "aria-label": word("draftSentence") });
  text.value = sentence.text;
  const rejected = make("input", { type: "checkbox", onchange: () => { text.disabled = rejected.checked; } });
  const facts = sentence.facts.map((fact) => fact.text).join(" ") || word("draftGeneral");
  const item = make("li", {}, text,
    make("p", { class: "hint" }, `${phrase("draftDonors", { n: sentence.donors })} ${facts}`),
    make("label", {}, rejected, " ", word("draftReject")));
  const outcome = () => (rejected.checked || !text.value.trim() ? "rejected" : text.value.trim() === sentence.text ? "accepted" : "edited");
  return { id: sentence.id, item, outcome, text: () => text.value.trim() };
}
