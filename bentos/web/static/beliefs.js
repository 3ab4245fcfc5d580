// What is believed of her, and a clinician's word that one fact of it is wrong.
import { ask } from "./api.js";
import { byId, make } from "./elements.js";
import { word } from "./words.js";

/** The form that stands in place of a fact's button. */
function disputeForm(fact, reference, line, close) {
  const id = `correct-${fact}`;
  const correct = make("textarea", { id, rows: 2, maxlength: 2000 });
  const status = make("p", { role: "status", class: "hint" });
  const send = make("button", { type: "submit" }, word("dispute"));
  const form = make("form", { class: "dispute" },
    make("label", { for: id }, word("correct")), correct,
    make("div", { class: "row" }, send, make("button", { type: "button", class: "quiet", onclick: close }, word("cancel")), status));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const body = { patient: reference, fact };
    if (correct.value.trim()) body.correct = correct.value.trim();
    try {
      const receipt = await ask("disputes", body);
      form.replaceWith(make("p", { role: "status", class: "hint" }, word(receipt.stays ? "disputedStays" : "disputed")));
      if (!receipt.stays) line.classList.add("disputed");
    } catch (problem) {
      send.disabled = false;
      status.textContent = problem.message || word("unreachable");
    }
  });
  return form;
}

function showFact({ text, fact }, reference) {
  const line = make("span", {}, text);
  if (!fact) return make("li", {}, line);
  const button = make("button", { type: "button", class: "quiet", "aria-label": `${word("wrong")}: ${text}` }, word("wrong"));
  button.addEventListener("click", () => {
    const form = disputeForm(fact, reference, line, () => { form.replaceWith(button); button.focus(); });
    button.replaceWith(form);
    form.querySelector("textarea").focus();
  });
  return make("li", {}, line, " ", button);
}

/** The lists of what is believed of the patient `reference`, each fact with its button. */
export function showBeliefs(beliefs, reference) {
  byId("believed").hidden = !beliefs.length;
  byId("beliefs").replaceChildren(...beliefs.flatMap(({ name, lines }) => [
    make("dt", {}, word("beliefNames")[name]),
    make("dd", {}, make("ul", { class: "facts" }, ...lines.map((fact) => showFact(fact, reference)))),
  ]));
}
