// Thumbs, a comment and the clinician's own answer: the reward of tomorrow's night.
import { ask } from "./api.js";
import { byId, make } from "./elements.js";
import { word } from "./words.js";

export const ownReply = () => byId("preferred")?.value.trim() ?? "";

/** The form about one answer; `answered` is what `/answer` gave. */
export function showFeedback(answered) {
  let rating = null;
  const thumbs = [["up", "👍", 5], ["down", "👎", 1]].map(([key, sign, value]) => make("button", {
    type: "button", class: "quiet", id: `thumb-${key}`, "aria-pressed": "false",
    onclick: (event) => {
      rating = value;
      for (const other of thumbs) other.setAttribute("aria-pressed", String(other === event.currentTarget));
    },
  }, `${sign} ${word(key)}`));
  const comment = make("textarea", { id: "comment", rows: 2, maxlength: 2000 });
  const preferred = make("textarea", { id: "preferred", rows: 3, maxlength: 4000 });
  const status = make("p", { role: "status", class: "hint" });
  const send = make("button", { type: "submit" }, word("send"));
  const form = make("form", {},
    make("div", { class: "row", role: "group", "aria-labelledby": "feedback-title" }, ...thumbs),
    make("label", { for: "comment" }, word("comment")), comment,
    make("label", { for: "preferred" }, word("preferred")), preferred,
    make("div", { class: "row" }, send, status));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = said(answered.id, rating, comment.value.trim(), preferred.value.trim());
    if (Object.keys(body).length < 2) {
      status.textContent = word("rateFirst");
      return;
    }
    send.disabled = true;
    try {
      await ask("feedback", body);
      status.textContent = word("sent");
    } catch (problem) {
      send.disabled = false;
      status.textContent = problem.message || word("unreachable");
    }
  });
  byId("feedback").replaceChildren(make("h2", { id: "feedback-title" }, word("feedback")), form);
}

function said(id, rating, comment, preferred) {
  const body = { answer_id: id };
  if (rating) body.rating = rating;
  if (comment) body.comment = comment;
  if (preferred) body.preferred_answer = preferred;
  return body;
}
