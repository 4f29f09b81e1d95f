// Keeps pages up to date. Every page works without it: reload instead.
"use strict";

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function read(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.json();
}

// A card follows its job until the job has reached a final state.
const FINAL = ["completed", "dead", "cancelled"];

async function follow(card) {
  const field = (name) => card.querySelector(`[data-field="${name}"]`);
  for (;;) {
    let job;
    try {
      job = await read(`/jobs/${card.dataset.job}.json`);
    } catch {
      await pause(2000); // the server restarts, or the network is gone
      continue;
    }
    const done = job.state === "completed";
    const state = job.state === "scheduled" && job.failures > 0 ? "retrying" : job.state;
    field("state").textContent = state;
    field("state").className = `state ${state}`;
    field("attempt").textContent = job.attempt;
    field("percent").value = done ? 100 : (job.progress?.percent ?? 0);
    field("message").textContent = done ? "" : (job.progress?.message ?? "");
    field("error").textContent = job.error ?? "";
    if (FINAL.includes(job.state)) {
      const sequel = document.querySelector(`[data-when-completed="${card.dataset.job}"]`);
      if (sequel && done) sequel.hidden = false;
      return;
    }
    await pause(300);
  }
}

// The first page's numbers and latest jobs.
async function live(card) {
  for (;;) {
    if (!document.hidden) {
      try {
        show(card, await read("/live.json"));
      } catch {
        // Shown again when the server is back.
      }
    }
    await pause(1000);
  }
}

function show(card, numbers) {
  for (const cell of card.querySelectorAll("[data-number]")) {
    const value = numbers[cell.dataset.number];
    cell.textContent = typeof value === "number" ? value : `${value.number}${value.more ? "+" : ""}`;
  }
  card.querySelector("[data-latest]").replaceChildren(
    ...numbers.latest.map((job) => {
      const row = document.createElement("tr");
      const state = document.createElement("span");
      state.className = `state ${job.state}`;
      state.textContent = job.state;
      row.insertCell().textContent = job.id;
      row.insertCell().textContent = job.kind;
      row.insertCell().append(state);
      return row;
    }),
  );
}

document.querySelectorAll("[data-job]:not([data-final])").forEach(follow);
document.querySelectorAll("[data-live]").forEach(live);
