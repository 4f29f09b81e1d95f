// Comfort for those who have a script: keys, copying, times in the reader's own zone. Every page works without it.

document.documentElement.dataset.script = "";
const field = () => document.querySelector("#q") ?? document.querySelector("#jump");

// What a page needs when it is there, and when its content has come anew.
function dress() {
  // Times say in their title what they are here, too.
  for (const time of document.querySelectorAll("time[datetime]")) {
    const local = new Date(time.dateTime);
    if (!Number.isNaN(local.getTime()) && !time.title.includes("(here)")) {
      time.title += `\n${local.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" })} (here)`;
    }
  }
  // The clipboard needs a secure context: over plain HTTP a browser has none, and the button says so.
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.disabled = !navigator.clipboard;
  }
}
dress();
document.addEventListener("haulage:shown", dress);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const [what, name] = [button.dataset.copy, button.textContent];
  await navigator.clipboard.writeText(what ? document.getElementById(what).textContent : location.href);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = name; }, 1200);
});

// A menu closes when somebody goes elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// A form that was sent is not sent twice by an impatient finger; if it was all the same, the second finds it done.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
  // Should no answer come, it may be tried again.
  setTimeout(() => delete form.dataset.sent, 3000);
});

// Single keys may be switched off: who dictates text would press them by accident.
const dialog = document.querySelector("#keys");
const off = () => localStorage.getItem("haulage-keys") === "off";
const box = dialog.querySelector("input");
box.checked = !off();
box.addEventListener("change", () => localStorage.setItem("haulage-keys", box.checked ? "on" : "off"));
for (const button of document.querySelectorAll("button[data-keys]")) {
  button.addEventListener("click", () => dialog.showModal());
}
dialog.querySelector("button").addEventListener("click", () => dialog.close());

const places = { o: "", j: "jobs", q: "queues", w: "workers", c: "schedules", p: "operations", a: "audit", s: "stuck", t: "traces", e: "errors", ",": "settings" };
let goes = -Infinity;
let row = -1;

function move(by) {
  const rows = [...document.querySelectorAll("table.rows tbody tr")];
  if (rows.length === 0) return;
  rows[row]?.classList.remove("at");
  row = Math.min(Math.max(row + by, 0), rows.length - 1);
  rows[row].classList.add("at");
  rows[row].querySelector("a")?.focus();
  rows[row].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey) {
    if (event.key === "k" && field()) {
      event.preventDefault();
      field().focus();
      field().select();
    }
    return;
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing && event.key === "Escape") typing.blur();
  const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  if (typing || event.altKey || dialog.open || off()) return;
  if (event.timeStamp - goes < 1200 && event.key in places) {
    const link = document.querySelector(`.side a[data-go="${event.key}"]`);
    goes = -Infinity;
    if (link) link.click();
    return;
  }
  const acts = {
    "/": () => { field().focus(); field().select(); },
    "g": () => { goes = event.timeStamp; },
    "j": () => move(1),
    "k": () => move(-1),
    "]": () => document.querySelector("a[rel=next]")?.click(),
    "[": () => (document.querySelector("a[rel=first]") ? history.back() : undefined),
    "y": () => navigator.clipboard?.writeText(location.href),
    ".": () => document.querySelector("#live").click(),
    "t": () => document.querySelector("#theme").requestSubmit(),
    "?": () => dialog.showModal(),
  };
  if (event.key in acts) {
    event.preventDefault();
    acts[event.key]();
  }
});
