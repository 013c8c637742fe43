// Keeps the page fresh: when the state has another revision, its parts are fetched and put in
// place. Everything is rendered, and escaped, by the server.
const offline = document.getElementById("offline");

// What the reader folded or unfolded: key -> open. Fresh pieces keep it.
const folds = new Map();

document.addEventListener("click", (event) => {
  const details = event.target.closest?.("summary")?.parentElement;
  // The click has not changed it yet.
  if (details?.dataset.key) folds.set(details.dataset.key, !details.open);
});

async function replace(url, ...ids) {
  const answer = await fetch(url, { cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ids) {
    const fresh = document.importNode(page.getElementById(id), true);
    for (const details of fresh.querySelectorAll("details[data-key]")) {
      details.open = folds.get(details.dataset.key) ?? details.open;
    }
    document.getElementById(id).replaceWith(fresh);
  }
}

async function look() {
  try {
    const answer = await fetch("/__splitway/state.json", { cache: "no-store" });
    const { revision } = await answer.json();
    offline.hidden = true;
    const shown = document.getElementById("live").dataset.revision;
    if (String(revision) !== shown && document.getSelection().isCollapsed) {
      await replace("/__splitway", "live", "recent");
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
    await replace(url, "answer");
    history.replaceState(null, "", url + "#explain");
  } catch {
    offline.hidden = false;
  }
});

look();
