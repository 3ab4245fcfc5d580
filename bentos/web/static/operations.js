// Sign in, and show the page of figures that the endpoint has rendered.
import { authorization, signedIn, signIn, signOut, takeLink } from "./api.js";
import { byId } from "./elements.js";

/** The figures as a document: the browser parses it without running anything in it. */
function load() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", "ops/figures");
    request.responseType = "document";
    request.setRequestHeader("authorization", authorization());
    request.setRequestHeader("accept", "text/html");
    request.onload = () => (request.status === 200 ? resolve(request.responseXML) : reject(request.status));
    request.onerror = () => reject(0);
    request.send();
  });
}

const WORDS = { 0: "The endpoint does not answer.", 401: "This token is not valid.", 403: "This page is for tokens of the whole clinic." };

async function show() {
  byId("problem").hidden = true;
  byId("sign-in").hidden = signedIn();
  byId("sign-out").hidden = !signedIn();
  byId("shown").replaceChildren();
  if (!signedIn()) return;
  try {
    const figures = (await load()).getElementById("figures");
    byId("shown").replaceChildren(...[...figures.childNodes].map((node) => document.adoptNode(node)));
  } catch (status) {
    byId("problem").textContent = WORDS[status] || `The endpoint refuses (${status}).`;
    byId("problem").hidden = false;
    if (status === 401 || status === 403) {
      signOut();
      byId("sign-in").hidden = false;
      byId("sign-out").hidden = true;
    }
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
  byId("token").value = "";
  show();
});
byId("sign-out").addEventListener("click", () => { signOut(); show(); });
takeLink();
show();
