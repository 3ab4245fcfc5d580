// Thumbs, a comment and the clinician's own answer: the reward of tomorrow's night.
import { ask } from "./api.js";
import { byId, draw, make } from "./elements.js";
import { word } from "./words.js";

const THUMB = "M2 10h4v11H2zM8 21V10l4-8c2 0 3 1.5 2.6 3.6L14 9h6.2c1.2 0 2 1.1 1.7 2.3l-2.2 8.2c-.3 1-1.1 1.5-2 1.5z";

export const ownReply = () => byId("preferred")?.value.trim() ?? "";

/** Send feedback once; `send` can be pressed again only where it failed, and `status` says what became of it. */
export async function sendFeedback(body, send, status) {
  send.disabled = true;
  try {
    const receipt = await ask("feedback", body);
    status.textContent = word(receipt.counts ? "sent" : "sentBeyond");
  } catch (problem) {
    send.disabled = false;
    status.textContent = problem.message || word("unreachable");
  }
}

/** The form about one answer to `question`; `answered` is what `/answer` gave. */
export function showFeedback(answered, question) {
  let thumbs = null;
  const buttons = ["up", "down"].map((key) => make("button", {
    type: "button", class: "quiet", id: `thumb-${key}`, "aria-pressed": "false",
    onclick: (event) => {
      thumbs = key;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === event.currentTarget));
    },
  }, draw("svg", { class: `thumb ${key}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, draw("path", { d: THUMB })), word(key)));
  const comment = make("textarea", { id: "comment", rows: 2, maxlength: 2000 });
  const preferred = make("textarea", { id: "preferred", rows: 3, maxlength: 8000 });
  const own = make("div", {}, make("label", { for: "preferred" }, word("preferred")), preferred);
  const by = make("select", { id: "by", onchange: () => { own.hidden = by.value !== "clinician"; } },
    make("option", { value: "clinician" }, word("clinician")), make("option", { value: "patient" }, word("herself")));
  const status = make("p", { role: "status", class: "hint" });
  const send = make("button", { type: "submit" }, word("send"));
  const form = make("form", {},
    make("div", { class: "row", role: "group", "aria-labelledby": "feedback-title" }, ...buttons),
    make("label", { for: "by" }, word("by")), by,
    make("label", { for: "comment" }, word("comment")), comment,
    own,
    make("div", { class: "row" }, send, status));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { answer_id: answered.id, by: by.value };
    if (thumbs) body.thumbs = thumbs;
    if (comment.value.trim()) body.comment = comment.value.trim();
    if (by.value === "clinician" && ownReply()) Object.assign(body, { edit: ownReply(), question });
    if (Object.keys(body).length < 3) {
      status.textContent = word("rateFirst");
      return;
    }
    await sendFeedback(body, send, status);
  });
  byId("feedback").replaceChildren(make("h2", { id: "feedback-title" }, word("feedback")), form);
}
