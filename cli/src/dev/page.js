// Keeps the page fresh: when the state has another revision, the live part is fetched and put in
// place. Everything is rendered, and escaped, by the server.
const main = document.getElementById("live");
const offline = document.getElementById("offline");

async function part(url, id) {
  const answer = await fetch(url, { cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return document.importNode(page.getElementById(id), true);
}

async function look() {
  try {
    const answer = await fetch("/__splitway/state.json", { cache: "no-store" });
    const { revision } = await answer.json();
    offline.hidden = true;
    const live = document.getElementById("live");
    if (String(revision) !== live.dataset.revision && document.getSelection().isCollapsed) {
      const open = [...live.querySelectorAll("details[open]")].map((details) => details.id);
      const fresh = await part("/__splitway", "live");
      open.forEach((id) => fresh.querySelector("#" + CSS.escape(id))?.setAttribute("open", ""));
      live.replaceWith(fresh);
    }
  } catch {
    offline.hidden = false;
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}

const form = document.getElementById("ask");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const url = "/__splitway?" + new URLSearchParams(new FormData(form));
  try {
    document.getElementById("answer").replaceWith(await part(url, "answer"));
    history.replaceState(null, "", url + "#explain");
  } catch {
    offline.hidden = false;
  }
});

if (main) look();
