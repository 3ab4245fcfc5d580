// The endpoint as the page asks it. The token comes in the address's fragment, which no server sees, and leaves it at once.
const KEY = "pmlm-token";

export class Problem extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Take a link's token out of the address bar into this tab's session, with the patient and question that it asks for. */
export function takeLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.get("token")) return {};
  sessionStorage.setItem(KEY, given.get("token"));
  history.replaceState(null, "", location.pathname + location.search);
  return { patient: given.get("patient"), question: given.get("question") };
}

export const signIn = (token) => sessionStorage.setItem(KEY, token.trim());
export const signOut = () => sessionStorage.removeItem(KEY);
export const signedIn = () => Boolean(sessionStorage.getItem(KEY));
export const authorization = () => `Bearer ${sessionStorage.getItem(KEY)}`;

async function send(path, options, signal) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, authorization: authorization() }, cache: "no-store", credentials: "omit", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
}

const post = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

async function read(response) {
  const text = await response.text();
  let answer;
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    throw new Problem(response.status, response.statusText);
  }
  // RFC 9457 on the endpoint's own routes, OpenAI's shape below /v1
  if (!response.ok) throw new Problem(response.status, answer.detail || answer.error?.message || response.statusText, response.headers.get("retry-after"));
  return answer;
}

/** POST to a route beside the page; a problem is thrown. */
export const ask = async (path, body, signal) => read(await send(path, post(body), signal));

/** Stream an answer: `show` gets all of its text that has come, each time more has. */
export async function streamAnswer({ patient, question }, signal, show) {
  const response = await send("v1/chat/completions", post({ model: "any", stream: true, metadata: { patient }, messages: [{ role: "user", content: question }] }), signal);
  if (!response.ok) await read(response);
  let text = "", about = {};
  for await (const chunk of events(response.body)) {
    if (chunk.error) throw new Problem(502, chunk.error.message);
    about = { ...about, ...chunk.pmlm };
    const more = chunk.choices[0]?.delta.content;
    if (more) show((text += more));
  }
  return { ...about, text };
}

/** The events of a stream as JSON, until it says that it is whole; one that breaks before is a problem. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      return { done: true };
    });
    if (done) throw new Problem(502, "");
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/** How an answer came about; null where that was not recorded. */
export async function explain(id, signal) {
  const response = await send(`explain/${encodeURIComponent(id)}`, { method: "GET" }, signal);
  return response.ok ? read(response) : null;
}
