// Sign in, choose a patient, ask, and lay out the answer beside why it is what it is.
import { ask, explain, signedIn, signIn, signOut, streamAnswer, takeLink } from "./api.js";
import { forgetAll, remember, showAsked } from "./asked.js";
import { showBeliefs } from "./beliefs.js";
import { showDecisions } from "./decisions.js";
import { showDraft } from "./drafts.js";
import { byId, make } from "./elements.js";
import { markFacts } from "./highlights.js";
import { ownReply, showFeedback } from "./feedback.js";
import { showPeers, showTrajectories } from "./plots.js";
import { showPrompt } from "./prompt.js";
import { offerQuestions, showReply } from "./replies.js";
import { language, phrase, speak, word } from "./words.js";

let running = null; // the question under way: a new one cancels it
const MOST = 200; // patients that the endpoint lists at once
let patients = []; // those listed, before any search
let chosen = ""; // the patient chosen or asked about last: listed as chosen again once a search is over

function showProblem(problem) {
  const box = byId("problem");
  box.hidden = !problem;
  byId("status").textContent = "";
  if (!problem) return;
  if (problem.status === 401) leave();
  const said = problem.status === 401 ? word("expired") : problem.message || word("unreachable");
  box.textContent = problem.retryAfter ? `${said} ${phrase("retry", { n: problem.retryAfter })}` : said;
}

function leave() {
  running?.abort();
  signOut();
  forgetAll();
  patients = [];
  chosen = "";
  for (const id of ["search", "reference", "question"]) byId(id).value = "";
  for (const id of ["patient", "answered"]) byId(id).replaceChildren();
  listAsked();
  arrange();
}

function arrange() {
  const known = signedIn();
  byId("sign-in").hidden = known;
  byId("ask").hidden = byId("sign-out").hidden = !known;
  byId("synthetic").hidden = byId("embedded").hidden = true;
  if (!known) byId("result").hidden = true;
}

async function loadPatients() {
  showProblem(null);
  arrange();
  if (!signedIn()) return;
  try {
    const found = await ask("page/api/patients", { language: language(), limit: MOST });
    patients = found.patients;
    listMatches();
    byId("cut").hidden = !found.more;
    byId("synthetic").hidden = !found.synthetic;
    byId("embedded").hidden = !found.embedded;
    byId("embedded").textContent = word(found.restates ? "restates" : "embedded");
    changePatient();
  } catch (problem) {
    showProblem(problem);
  }
}

/** List the patients in whose entry every word of the search stands. */
function listMatches() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = patients.filter((p) => words.every((text) => label(p).toLowerCase().includes(text)));
  byId("patient").replaceChildren(...matches.map((p) => make("option", { value: p.reference }, label(p))));
  if (matches.some((p) => p.reference === chosen)) byId("patient").value = chosen;
  byId("matches").textContent = words.length ? phrase("matches", { n: matches.length, all: patients.length }) : "";
}

const label = (p) => [`…${p.reference.slice(-4)}`, p.pregnancy, p.age && `${p.age} ${word("years")}`, `${word("news")}: ${p.news}`].filter(Boolean).join(" · ");

function showExamples() {
  byId("examples").replaceChildren(...word("examples").map((text) => make("button", {
    type: "button", class: "quiet", onclick: () => chooseQuestion(text),
  }, text)));
}

function showBanner(response) {
  const box = byId("banner");
  box.hidden = !response.escalation;
  if (box.hidden) return;
  const worst = response.red_flags.some((f) => f.label === "emergency") ? "emergency" : "urgent";
  box.className = worst;
  box.replaceChildren(
    make("h2", {}, word(worst)), make("p", {}, response.escalation),
    make("ul", {}, ...response.red_flags.map((f) => make("li", {}, `${f.why} (${word("flagSource")}: ${f.source})`))));
}

/** Say plainly what an answer lacks; without her features there is nothing to weigh or to draw. */
function showLacking(response) {
  const lacking = Boolean(response.degraded?.startsWith("features"));
  byId("degraded").hidden = !lacking;
  byId("impersonal").hidden = lacking || response.personalization !== "none";
  byId("decisions").hidden = byId("drawn").hidden = lacking;
}

/** What her choices and her record say; null where the features could be read no longer. */
async function drawn(asked, reference, signal) {
  try {
    return await Promise.all([
      ask("page/api/choices", asked, signal),
      ask("page/api/record", { patient: reference, language: language() }, signal),
    ]);
  } catch (problem) {
    if (problem.status !== 503) throw problem;
    return null;
  }
}

const chooseQuestion = (text) => { byId("question").value = text; byId("question").focus(); };

const chosenPatient = () => byId("reference").value.trim() || byId("patient").value;

const listAsked = () => showAsked(chosenPatient(), (text) => { chooseQuestion(text); byId("ask").requestSubmit(); });

const offer = () => offerQuestions(chosenPatient, chooseQuestion);

function changePatient() {
  offer();
  listAsked();
}

function fill(id, text, findings = [], segments = []) {
  const box = byId(id);
  box.setAttribute("aria-busy", "false");
  const why = findings.map((f) => word(f) ?? f).join("; ");
  box.replaceChildren(...(why ? [make("p", { class: "withheld" }, `${word("withheld")} (${why}).`)] : []), ...markFacts(text, segments));
}

function showVersions(response, llm) {
  const entries = Object.entries({ ...response.versions, ...(llm && { llm: llm.model, llm_seconds: llm.seconds }), interaction: response.id }).filter(([, value]) => value != null);
  byId("versions").replaceChildren(...entries.flatMap(([name, value]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, value)]));
}

/** Say who wrote the two answers: a language model, the facts restated, or, in an emergency, people. */
function showHints(llm) {
  const [answer, plain] = llm?.restated ? ["restatedHint", "restatedPlainHint"] : llm?.asked === false ? ["fixedHint", "fixedHint"] : ["answerHint", "plainHint"];
  byId("answer-hint").textContent = word(answer);
  byId("plain-hint").textContent = word(plain);
}

/** The answer as it comes, then how it came about; an `error` where none came, which in an emergency is what to do. */
async function answer(response, asked, signal) {
  const show = (text) => { byId("answer").textContent = text; };
  try {
    const { text, answer_id: id, degraded, disclaimer, findings, llm } = await streamAnswer(asked, signal, show);
    const why = (await explain(id, signal)) ?? { ...response, id, llm: { ...llm, findings } };
    return { ...why, degraded, disclaimer, answer: text };
  } catch (problem) {
    if (!(problem.status === 429 || problem.status >= 500)) throw problem;
    const none = [word("noAnswer"), problem.message && `(${problem.message})`].filter(Boolean).join(" ");
    return { ...response, llm: { asked: !response.escalation, findings: [] }, error: response.escalation ?? none };
  }
}

async function run(reference, question, signal) {
  const say = (key) => { byId("status").textContent = word(key); };
  say("thinking");
  const body = { patient: reference, question };
  const response = await ask("personalize", body, signal);
  const asked = { ...body, language: response.language };
  byId("result").hidden = false;
  for (const id of ["answer", "plain"]) { byId(id).setAttribute("aria-busy", "true"); byId(id).textContent = "…"; }
  byId("disclaimer").textContent = "";
  byId("feedback").hidden = byId("draft").hidden = byId("reply").hidden = true;
  showBanner(response);
  showLacking(response);
  showPrompt(response, reference);
  showVersions(response, null);
  const shown = { response, reference, question };
  const found = byId("drawn").hidden ? null : await drawn(asked, reference, signal);
  if (found) {
    showDecisions({ ...shown, weighed: found[0] });
    showTrajectories(found[1].trajectories);
    showPeers(found[1].peers);
    showBeliefs(found[1].beliefs, reference);
  } else {
    byId("decisions").hidden = byId("drawn").hidden = byId("believed").hidden = true;
  }
  say("answering");
  const answered = await answer(response, asked, signal);
  fill("answer", answered.error ?? answered.answer, answered.llm?.findings, answered.segments);
  showHints(answered.llm);
  byId("disclaimer").textContent = answered.disclaimer ?? "";
  showVersions(answered, answered.llm);
  showLacking(answered);
  byId("feedback").hidden = Boolean(answered.error);
  if (!answered.error) showFeedback(answered, question);
  const reply = () => (ownReply() ? { text: ownReply(), own: true } : { text: byId("answer").textContent, own: false });
  if (found && !byId("drawn").hidden && !answered.error) showDecisions({ ...shown, weighed: found[0], reply });
  await showReply(asked, signal);
  await showDraft(asked, signal);
  say("comparing");
  const plain = await ask("page/api/plain", asked, signal);
  fill("plain", plain.answer, plain.llm.findings);
  say("done");
}

async function submit(event) {
  event.preventDefault();
  running?.abort();
  const mine = (running = new AbortController());
  showProblem(null);
  byId("result").hidden = true;
  const question = byId("question").value.trim();
  if (!chosenPatient()) return showProblem({ message: word("nobody") });
  chosen = byId("patient").value;
  remember(chosenPatient(), question);
  listAsked();
  try {
    await run(chosenPatient(), question, mine.signal);
  } catch (problem) {
    if (mine === running && problem.name !== "AbortError") showProblem(problem);
  }
}

/** Ask what a link asks for: of the patient in the list, or else of the one named. */
function askLinked({ patient, question }) {
  if (!patient || !question) return;
  const listed = [...byId("patient").options].some((option) => option.value === patient);
  byId(listed ? "patient" : "reference").value = patient;
  changePatient();
  byId("question").value = question;
  byId("ask").requestSubmit();
}

async function changeLanguage() {
  speak(byId("language").value);
  byId("result").hidden = true;
  running?.abort();
  showExamples();
  await loadPatients();
}

byId("ask").addEventListener("submit", submit);
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
  byId("token").value = "";
  loadPatients();
});
byId("sign-out").addEventListener("click", leave);
byId("patient").addEventListener("change", () => {
  chosen = byId("patient").value;
  changePatient();
});
byId("reference").addEventListener("input", () => { // whom it names is known once it is left
  byId("answered").replaceChildren();
  listAsked();
});
byId("reference").addEventListener("change", offer);
byId("search").addEventListener("input", () => {
  const before = byId("patient").value;
  listMatches();
  chosen = byId("patient").value || chosen; // who is left is who is seen as chosen, also once the search is over
  if (byId("patient").value !== before) changePatient();
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // searching asks nothing
  byId("question").focus();
});
byId("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  byId("ask").requestSubmit();
});
byId("language").addEventListener("change", changeLanguage);
const linked = takeLink();
byId("language").value = navigator.language.startsWith("zh") ? "zh" : "en";
changeLanguage().then(() => askLinked(linked));
