// The questions asked in this tab, by patient: in memory alone, gone with a reload or a sign-out.
import { byId, make } from "./elements.js";

const MOST = 12;
const asked = new Map();

/** Put a question first among those asked of a patient. */
export function remember(reference, question) {
  const others = (asked.get(reference) ?? []).filter((text) => text !== question);
  asked.set(reference, [question, ...others].slice(0, MOST));
}

export const forgetAll = () => asked.clear();

/** List what was asked of this patient, newest first; a click asks it again. */
export function showAsked(reference, again) {
  const texts = asked.get(reference) ?? [];
  byId("asked").hidden = !texts.length;
  byId("history").replaceChildren(...texts.map((text) => make("li", {}, make("button", { type: "button", class: "quiet", onclick: () => again(text) }, text))));
}
