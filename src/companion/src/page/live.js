// Renews the main part each second while the page is looked at.
"use strict";
const main = document.querySelector("main");
const live = document.querySelector("#live");
let answered = Date.now();
let shown = "";

const time = (at) => new Date(at).toISOString().slice(0, 19).replace("T", " ");

function say(text, old) {
  // Read aloud when it goes wrong, not each second.
  if (old) live.setAttribute("role", "alert");
  else live.removeAttribute("role");
  if (live.textContent !== text) live.textContent = text;
  document.body.classList.toggle("old", old);
}

async function renew() {
  // Whoever marks text wants to copy it.
  const selection = document.getSelection();
  const marked = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  if (document.hidden || marked) return;
  try {
    const answer = await fetch("main", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    answered = Date.now();
    if (text !== shown) {
      main.innerHTML = text;
      shown = text;
    }
    const title = main.querySelector("[data-title]");
    if (title) document.title = title.dataset.title;
    say("live, " + time(answered) + " UTC", false);
  } catch {
    document.title = "No answer · " + document.title.replace(/^No answer · /, "");
    say("no answer since " + time(answered) + " UTC: what follows is old", true);
  }
}

async function forever() {
  for (;;) {
    await renew();
    await new Promise((done) => setTimeout(done, 1000));
  }
}
forever();
