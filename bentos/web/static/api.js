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

/** POST to a route beside the page; a problem (RFC 9457) is thrown, unless it holds an answer: its model had failed. */
export async function ask(path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: authorization() },
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  const text = await response.text();
  let answer;
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    throw new Problem(response.status, response.statusText);
  }
  if (!response.ok && !("answer" in answer)) {
    throw new Problem(response.status, answer.detail || response.statusText, response.headers.get("retry-after"));
  }
  return answer;
}
