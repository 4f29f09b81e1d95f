// The page stays as the fleet is: its content comes anew when it has changed, and what the reader does with it stays as it is.

const source = document.body.dataset.live;
const button = document.querySelector("#live");
// By a stream something comes each two seconds; after this long without, it is no stream.
const SILENT = 10_000;
// The page is asked for by itself this often when there is none.
const POLL = 5_000;

let stream = null;
let polls = null;
let heard = 0;
let waiting = null;

const off = () => localStorage.getItem("haulage-live") === "off";

function say(state, words) {
  button.dataset.state = state;
  button.title = words;
  button.querySelector("span").textContent = state === "off" ? "Paused" : "Live";
  button.setAttribute("aria-pressed", String(state !== "off"));
}

// What the reader is at must not change under the hand: a list under the pointer, a text that is being marked, a dialog.
function busy() {
  const marked = getSelection();
  const marks = marked && !marked.isCollapsed && document.querySelector("#main").contains(marked.anchorNode);
  return marks || document.querySelector("dialog[open], #main table.rows tbody tr:hover") !== null;
}

// A form that somebody has begun to fill in, and an element that somebody has opened or closed, are the reader's.
document.addEventListener("input", (event) => { event.target.form?.setAttribute("data-touched", ""); });
document.addEventListener("toggle", (event) => { event.target.setAttribute?.("data-toggled", ""); }, true);

const callbacks = {
  beforeNodeMorphed: (old) => !old.hasAttribute?.("data-touched"),
  beforeNodeRemoved: (old) => !old.hasAttribute?.("data-keep"),
  beforeAttributeUpdated: (name, node) => {
    if (name === "open") return !node.hasAttribute("data-toggled");
    return !(name === "data-toggled" || (name === "class" && node.classList.contains("at")));
  },
};

function show(parts) {
  const options = { morphStyle: "innerHTML", ignoreActiveValue: true, restoreFocus: true, callbacks };
  Idiomorph.morph(document.querySelector("#main"), parts.main, options);
  Idiomorph.morph(document.querySelector("nav"), parts.nav, options);
  Idiomorph.morph(document.querySelector("#clock"), parts.clock, options);
  document.dispatchEvent(new CustomEvent("haulage:shown"));
}

function arrived(parts) {
  // Asked for before it was paused.
  if (off()) return;
  waiting = parts;
  heard = Date.now();
  if (!busy()) settle();
}

function settle() {
  if (waiting) show(waiting);
  waiting = null;
}

function listen() {
  heard = Date.now();
  say("on", "Live: what changes is shown within seconds. Press . to pause.");
  stream = new EventSource(source);
  stream.addEventListener("page", (event) => arrived(JSON.parse(event.data)));
  stream.addEventListener("beat", () => { heard = Date.now(); });
  stream.addEventListener("error", () => { if (stream?.readyState === EventSource.CLOSED) poll(); });
}

function silence() {
  stream?.close();
  stream = null;
  clearInterval(polls);
  polls = null;
}

// A proxy that keeps a stream back, or a server that has no place for one more.
function poll() {
  silence();
  polls = setInterval(ask, POLL);
}

async function ask() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = (place) => page.querySelector(place).innerHTML;
    arrived({ main: part("#main"), nav: part("nav"), clock: part("#clock") });
  } catch {
    // Told by the silence.
  }
}

setInterval(() => {
  if (!stream && !polls) return;
  if (waiting && !busy()) settle();
  const silent = Date.now() - heard;
  if (silent < SILENT) {
    say("on", polls ? "Live: the page is asked for each 5 seconds. Press . to pause." : "Live: what changes is shown within seconds. Press . to pause.");
  } else {
    say("late", `Nothing has come for ${Math.round(silent / 1000)} s; trying again.`);
    if (stream) poll();
  }
}, 1_000);

function start() {
  silence();
  if (off()) say("off", "Paused: the page stays as it is. Press . to go on.");
  else if (!document.hidden) listen();
}

if (source) {
  button.hidden = false;
  button.addEventListener("click", () => {
    localStorage.setItem("haulage-live", off() ? "on" : "off");
    start();
  });
  // What nobody sees costs nothing.
  document.addEventListener("visibilitychange", () => (document.hidden ? silence() : start()));
  start();
}
