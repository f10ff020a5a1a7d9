// SPDX-License-Identifier: GPL-2.0-only
// A process and its files: asks for it as long as somebody looks, for so long it is watched.

import { moved, showFile, showTable } from "./fds.js";
import { showLife } from "./life.js";
import { asked, count, duration, exactly, plain } from "./words.js";

const INTERVAL_MILLISECONDS = 2000;
const KEPT_SECONDS = 300;
const find = (id) => document.getElementById(id);

let pid = null;
let timer = 0;
let last = null;
let rates = new Map(); // id of a file to bytes per second: {read, written}
let uses = new Map(); // id of a file to [{from, to, read, written}], in seconds of its being watched
let opened = null; // id of the file that is shown alone

function tell(text) {
  if (find("look-status").textContent !== text) find("look-status").textContent = text;
}

/** What has moved since the last document. */
function compare(now) {
  const before = new Map((last?.pid === now.pid ? last.files : []).map((file) => [file.id, moved(file)]));
  const from = last?.pid === now.pid ? last.watched_seconds : now.watched_seconds;
  const to = now.watched_seconds;
  if (to < from || last?.pid !== now.pid) uses = new Map();
  rates = new Map();
  for (const file of now.files) {
    if (!file.id || to <= from) continue;
    const sum = moved(file);
    const known = before.get(file.id) ?? { read: 0, written: 0 };
    // Fewer than before: another file that is where the last one was.
    const isSame = known.read <= sum.read && known.written <= sum.written;
    const read = isSame ? sum.read - known.read : sum.read;
    const written = isSame ? sum.written - known.written : sum.written;
    rates.set(file.id, { read: read / (to - from), written: written / (to - from) });
    if (read + written > 0) {
      const kept = (uses.get(file.id) ?? []).filter((use) => use.to > to - KEPT_SECONDS);
      uses.set(file.id, [...kept, { from, to, read, written }]);
    }
  }
  for (const [id, kept] of uses) if (kept.at(-1).to < to - KEPT_SECONDS) uses.delete(id);
}

function render() {
  if (!last) return;
  const { sums } = last;
  find("look-sums").textContent = plain(`${last.process}, pid ${last.pid}, watched for ${duration(last.watched_seconds)}:`
    + ` ${count(last.open_files)} open files; ${count(sums.reads)} reads of ${exactly(sums.read)},`
    + ` ${count(sums.writes)} writes of ${exactly(sums.written)}, ${count(sums.errors)} errors.`
    + (last.neighbours.length ? ` Watched with it: ${last.neighbours.map((each) => `${each.process} (${each.pid})`).join(", ")}.` : ""));
  find("look-lost").hidden = !last.lost.operations;
  find("look-lost").textContent = `Lost because a map was full: ${count(last.lost.operations)} operations, ${exactly(last.lost.bytes)} are in no row.`;
  showLife(last, uses, KEPT_SECONDS);
  showTable(last, rates, find("find-file").value.trim().toLowerCase());
  showFile(last, opened);
}

async function ask() {
  clearTimeout(timer);
  const wanted = pid;
  if (wanted === null) return;
  timer = setTimeout(ask, INTERVAL_MILLISECONDS);
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch(asked(`watch?pid=${wanted}`), { method: "POST", headers: { "X-Fdscope": "watch" } });
  } catch {
    if (wanted === pid) tell("no connection to the exporter: trying again");
    return;
  }
  if (wanted !== pid) return;
  if (!answer.ok) {
    end();
    tell(plain(`This cannot be watched: ${(await answer.text()).trim()}`));
    return;
  }
  const now = await answer.json();
  if (wanted !== pid) return;
  compare(now);
  last = now;
  find("looked").hidden = false;
  tell(plain(now.ended ? `${now.process} has ended` : `watching ${now.process}, pid ${now.pid}`));
  render();
}

function end() {
  clearTimeout(timer);
  [pid, last, opened] = [null, null, null];
  find("looked").hidden = true;
  find("look-end").hidden = true;
  tell("");
}

/** Watch the process of this pid. */
export function look(wanted) {
  end();
  pid = wanted;
  find("pid").value = String(wanted);
  find("look-end").hidden = false;
  tell(`pid ${wanted}…`);
  ask();
}

/** Offer the processes of a name; the only one is watched at once. */
export function choose(name, pids) {
  const each = pids.map((one) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.pid = one;
    button.textContent = `pid ${one}`;
    return button;
  });
  find("pids").replaceChildren(...(pids.length > 1 ? [plain(`${name}: `), ...each] : []));
  if (pids.length === 1) look(Number(pids[0]));
  else if (!pids.length) tell(plain(`no pid of ${name} is known: its processes are short-lived`));
}

export function start() {
  find("look-refused").hidden = true;
  find("look-allowed").hidden = false;
  const typed = () => {
    const wanted = find("pid").value.trim();
    if (/^[1-9]\d{0,9}$/.test(wanted)) look(Number(wanted));
    else tell("type the number of a process");
  };
  find("look-at").addEventListener("click", typed);
  find("pid").addEventListener("keydown", (event) => event.key === "Enter" && typed());
  find("look-end").addEventListener("click", end);
  find("find-file").addEventListener("input", render);
  find("look").addEventListener("click", (event) => {
    const { pid: other, file } = event.target.closest("button")?.dataset ?? {};
    if (other) look(Number(other));
    if (!file) return;
    opened = file;
    showFile(last, opened);
    find("file").scrollIntoView({ block: "nearest" });
  });
  find("file-close").addEventListener("click", () => {
    const shown = opened;
    opened = null;
    showFile(last, opened);
    document.querySelector(`#fds button[data-file="${CSS.escape(shown)}"]`)?.focus();
  });
  document.addEventListener("visibilitychange", ask);
  new ResizeObserver(render).observe(find("life").parentElement);
}
