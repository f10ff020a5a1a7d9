// SPDX-License-Identifier: GPL-2.0-only
// Listens to the exporter's events and shows the last one as chosen.

import { answers } from "./answers.js";
import * as doors from "./doors.js";
import { onChoice, show } from "./flow.js";
import * as past from "./past.js";
import * as watched from "./process.js";
import { save } from "./save.js";
import * as tables from "./tables.js";
import * as talks from "./talks.js";
import { plain } from "./words.js";

const RETRY_MILLISECONDS = 3000;
const SILENCE_MILLISECONDS = 8000;

const find = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;

let state = null;
let earlier = null; // the state at an earlier time that is looked at
let source = null;
let heard = 0;
let paused = false;
let process = null;

function tell(text, lost = false) {
  if (find("status").textContent !== text) find("status").textContent = text;
  find("status").classList.toggle("lost", lost);
  document.body.classList.toggle("lost-connection", lost);
}

function listen() {
  source?.close();
  source = new EventSource("events");
  source.onmessage = (event) => {
    heard = Date.now();
    if (paused) return;
    state = JSON.parse(event.data);
    if (!earlier) render(state);
  };
  source.onerror = () => {
    tell("no connection to the exporter: trying again, the numbers are old", true);
    // The browser tries again by itself, except after an answer that is not a stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MILLISECONDS);
  };
}

function problems(state) {
  const lost = Object.entries(state.lost ?? {}).filter((entry) => entry[1] > 0);
  if (!state.readable) return "The exporter cannot read its maps in the kernel: see its log.";
  if (!lost.length) return "";
  const room = lost.some(([reason]) => reason === "counters_full")
    ? " Their bytes are shown as (not attributed); a larger --probe.counter-entries makes room." : "";
  return `Some updates were lost (${lost.map(([reason]) => reason).join(", ")}; fdscope_lost_updates_total has their number).${room}`;
}

function emptiness(state, total) {
  if (!total && !state.rate) return "Measuring: rates need a second reading, which follows in a second.";
  if (total) return "No byte has gone through a file descriptor since fdscope was started.";
  return "No traffic: no process has read or written through a file descriptor in the last seconds. As soon as one does, its way through the kernel appears here.";
}

function render(state) {
  const total = chosen("time") === "total";
  const suffix = total ? "" : "/s";
  const problem = problems(state);
  if (find("problem").textContent !== problem) find("problem").textContent = problem;
  find("problem").hidden = !problem;
  if (!state.readable) return;
  tell(earlier ? `as it was at ${past.shownTime()}` : paused ? "paused" : total ? "live: bytes since fdscope was started" : "live: rates over up to 10 s");
  const picture = state[chosen("time")];
  const way = chosen("way");
  const isEmpty = !picture || !picture.flows.some((flow) => way === "both" ? flow.read + flow.written : flow[way]);
  find("empty").textContent = isEmpty ? emptiness(state, total) : "";
  find("empty").hidden = !isEmpty;
  find("flows").hidden = isEmpty;
  const shown = picture?.flows.some((flow) => flow.process === process) ? process : null;
  find("chosen").hidden = !process;
  find("chosen").firstElementChild.textContent = process && plain(shown
    ? `Only ${process}. Behind the fd types, bytes are counted for the whole host.` : `${process} moves no bytes now.`);
  const search = find("search").value.trim();
  if (!isEmpty) show(find("flows"), picture, way, suffix, shown, search);
  const { who, where } = answers(picture, suffix);
  if (find("who").textContent !== who) find("who").textContent = who;
  if (find("where").textContent !== where) find("where").textContent = where;
  if (!picture) return;
  tables.flows(picture, suffix);
  tables.ledger(picture, state.sees_sockets, total);
  tables.offerTypes(find("fd-type"), state.total);
  tables.processes(picture, find("fd-type").value, suffix, search || process || "");
  tables.devices(picture, suffix);
  tables.openFds(state.open);
}

function renderIfThere() {
  if (earlier ?? state) render(earlier ?? state);
}

function start() {
  find("live").hidden = false;
  document.querySelectorAll("input[type=radio], select").forEach((input) => input.addEventListener("change", renderIfThere));
  find("search").addEventListener("input", renderIfThere);
  const mayLook = find("live").dataset.details === "yes";
  const pidsOf = (name) => [...new Set((state?.total?.processes ?? [])
    .filter((row) => row.process === name && row.pid).map((row) => row.pid))];
  const choose = (name, pids = pidsOf(name)) => {
    process = name;
    renderIfThere();
    if (mayLook && name) watched.choose(name, pids);
  };
  onChoice(choose);
  find("all").addEventListener("click", () => choose(null, []));
  find("processes").addEventListener("click", (event) => {
    const { process: name, pid } = event.target.closest("button")?.dataset ?? {};
    if (name) choose(name, pid ? [pid] : []);
  });
  find("pause").addEventListener("click", () => {
    paused = !paused;
    find("pause").setAttribute("aria-pressed", String(paused));
    find("pause").textContent = paused ? "Go on" : "Pause";
    renderIfThere();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (width === (width = find("live").clientWidth)) return;
    renderIfThere();
  }).observe(find("live"));
  // The page is hidden: the exporter need not compute.
  document.addEventListener("visibilitychange", () => (document.hidden ? source?.close() : listen()));
  setInterval(() => {
    if (!document.hidden && heard && Date.now() - heard > SILENCE_MILLISECONDS) tell("the exporter sends nothing: the numbers are old", true);
  }, 1000);
  find("save").addEventListener("click", save);
  if (mayLook) {
    watched.start();
    talks.start(() => (state?.rate ?? state?.total)?.processes.map((row) => row.pid).filter(Boolean) ?? [], watched.look);
    past.start((found) => {
      earlier = found;
      renderIfThere();
    });
  }
  doors.start();
  listen();
}

start();
