// SPDX-License-Identifier: GPL-2.0-only
// Who talks to whom: arcs between processes, and both ends of each connection in a table.

import { point } from "./flow.js";
import { drawn } from "./svg.js";
import { cell, element, fill, named, number, row } from "./tables.js";
import { asked, bytes, count, duration, exactly, plain } from "./words.js";

const INTERVAL_MILLISECONDS = 2000;
const MOST_PIDS = 16;
const MOST_NODES = 24;
const MOST_ROWS = 40;
const ROW_PIXELS = 24;
const WIDEST_PIXELS = 16;
const PIXELS_A_CHARACTER = 7;
const find = (id) => document.getElementById(id);

let isOn = false;
let timer = 0;
let last = null;
let pids = [];

function tell(text) {
  if (find("talks-status").textContent !== text) find("talks-status").textContent = text;
}

const first = (end) => end.processes[0];
const label = (who) => plain(`${who.process} (${who.pid})`);
const moved = (talk) => talk.ways.reduce((sum, way) => sum + Math.max(way.sent ?? 0, way.received ?? 0), 0);
const isKnown = (talk) => talk.ways.some((way) => way.sent !== null || way.received !== null);

/** One line for all that joins two processes. */
function pairs(talks) {
  const found = new Map();
  for (const talk of talks) {
    const ends = [first(talk.one), first(talk.other)].sort((a, b) => a.pid - b.pid);
    if (ends[0].pid === ends[1].pid) continue; // it talks to itself, and others hold both ends
    const key = `${ends[0].pid} ${ends[1].pid}`;
    const pair = found.get(key) ?? { ends, bytes: 0, known: false, types: new Map() };
    pair.bytes += moved(talk);
    pair.known ||= isKnown(talk);
    pair.types.set(talk.fd_type, (pair.types.get(talk.fd_type) ?? 0) + 1);
    found.set(key, pair);
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes || Number(b.known) - Number(a.known));
}

/** Processes from top to bottom: each beside one that it talks to. */
function order(all) {
  const places = new Map();
  const lines = [];
  for (const pair of all) {
    const fresh = pair.ends.filter((who) => !places.has(who.pid));
    if (places.size + fresh.length > MOST_NODES) continue;
    for (const who of fresh) places.set(who.pid, { who, at: places.size });
    lines.push(pair);
  }
  return { places, lines };
}

function shortened(text, room) {
  const characters = [...text];
  const most = Math.max(Math.floor(room / PIXELS_A_CHARACTER), 8);
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

function draw(talks) {
  const svg = find("arcs");
  const width = svg.clientWidth;
  if (!width) return;
  const { places, lines } = order(pairs(talks));
  const names = Math.min(width * 0.45, 260);
  const reach = width - names - WIDEST_PIXELS - 4;
  const most = Math.max(...lines.map((pair) => pair.bytes), 1);
  const y = (pid) => places.get(pid).at * ROW_PIXELS + ROW_PIXELS / 2;
  svg.style.height = `${Math.max(places.size, 1) * ROW_PIXELS}px`;
  const longest = Math.max(places.size - 1, 1);
  const arcs = lines.map((pair) => {
    const [top, bottom] = pair.ends.map((who) => y(who.pid)).sort((a, b) => a - b);
    const out = reach * Math.sqrt((bottom - top) / ROW_PIXELS / longest);
    const line = drawn("path", pair.bytes ? "arc" : "arc unknown", {
      d: `M${names},${top}C${names + out * 1.33},${top} ${names + out * 1.33},${bottom} ${names},${bottom}`,
      "stroke-width": pair.bytes ? Math.max((WIDEST_PIXELS * pair.bytes) / most, 1.5).toFixed(1) : 1,
    });
    const types = [...pair.types].map(([name, times]) => `${count(times)} ${name}`).join(", ");
    line.detail = `${pair.ends.map(label).join(" and ")}: ${types}; ${pair.known ? bytes(pair.bytes) : "bytes not known"}`;
    return line;
  });
  const nodes = [...places.values()].flatMap(({ who }) => {
    const text = drawn("text", "talker", { x: names - 10, y: y(who.pid), "text-anchor": "end", "dominant-baseline": "central" },
      shortened(label(who), names - 16));
    text.detail = label(who);
    text.pid = who.pid;
    return [drawn("circle", "talker-dot", { cx: names, cy: y(who.pid), r: 4 }), text];
  });
  svg.replaceChildren(...arcs, ...nodes);
}

function who(end) {
  const made = element("td");
  end.processes.forEach((each, place) => {
    if (place) made.append(", ");
    made.append(element("b", named(`${each.process} (${each.pid})`, { pid: String(each.pid) })), ` fd ${each.fd}`);
  });
  if (end.more) made.append(` and ${end.more} more`);
  return made;
}

function witness(way) {
  const of = (range) => (range[0] === range[1] ? exactly(range[0]) : `${exactly(range[0])} to ${exactly(range[1])}`);
  return [way.kernel_sent && `sent ${of(way.kernel_sent)}`, way.kernel_received && `received ${of(way.kernel_received)}`]
    .filter(Boolean).join(", ");
}

function rowOf(talk, way, place) {
  const [from, to] = place ? [talk.other, talk.one] : [talk.one, talk.other];
  const known = (value) => (value === null ? "not counted" : exactly(value));
  const residual = element("td", way.residual === null ? talk.why_not
    : element("b", way.residual ? exactly(way.residual) : "0 ✓", way.residual ? "" : "closes"), way.residual === null ? "" : "number");
  const cells = [who(from), who(to), cell(`${talk.fd_type} ${talk.name}`), number(known(way.sent)), number(known(way.received)),
    residual, cell(witness(way))];
  ["from", "to", "", "sent", "received", "residual", "kernel"].forEach((name, number) => {
    if (name && cells[number].textContent) cells[number].dataset.name = `${name}:`;
  });
  return row(`${talk.fd_type} ${talk.name} ${first(talk.one).pid} ${first(talk.one).fd} ${place}`, cells);
}

function render() {
  if (!last) return;
  draw(last.talks);
  const rows = last.talks.flatMap((talk) => talk.ways.map((way, place) => ({ talk, way, place })))
    .filter(({ way }, number) => way.sent || way.received || number < MOST_ROWS / 2)
    .filter(({ way, place, talk }) => way.sent || way.received || !(place && moved(talk)));
  fill("talk-table", rows.slice(0, MOST_ROWS).map(({ talk, way, place }) => rowOf(talk, way, place)));
  const joined = pairs(last.talks);
  const widest = joined.filter((pair) => pair.bytes).slice(0, 3)
    .map((pair) => `${pair.ends.map(label).join(" and ")} ${bytes(pair.bytes)}`);
  const said = `${count(joined.length)} pairs of processes are joined.${widest.length ? ` Most moves between ${widest.join("; ")}.` : ""}`;
  if (find("talks-said").textContent !== said) find("talks-said").textContent = said;
  const compared = last.talks.filter((talk) => talk.compared);
  const closed = compared.filter((talk) => talk.ways.every((way) => way.residual === 0));
  find("talks-more").textContent = `${count(last.watched)} processes are watched, for ${duration(last.watched_seconds)}.`
    + ` Both ends are counted of ${count(compared.length)} of ${count(last.talks.length + last.not_shown)}; of ${count(closed.length)} they agree to the byte.`
    + (rows.length > MOST_ROWS ? ` ${count(rows.length - MOST_ROWS)} rows that moved less are not shown.` : "")
    + (last.lost.operations ? ` Lost because a map was full: ${exactly(last.lost.bytes)}.` : "");
}

function end(text = "") {
  clearTimeout(timer);
  [isOn, last] = [false, null];
  find("talked").hidden = true;
  find("talks-end").hidden = true;
  find("talks-begin").hidden = false;
  tell(text);
}

async function ask() {
  clearTimeout(timer);
  if (!isOn) return;
  timer = setTimeout(ask, INTERVAL_MILLISECONDS);
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch(asked(`talks?${pids.map((pid) => `pid=${pid}`).join("&")}`), { method: "POST", headers: { "X-Fdscope": "talks" } });
  } catch {
    tell("no connection to the exporter: trying again");
    return;
  }
  if (!isOn) return;
  if (!answer.ok) {
    end(plain(`This cannot be shown: ${(await answer.text()).trim()}`));
    return;
  }
  const found = await answer.json();
  if (!isOn) return;
  last = found;
  find("talked").hidden = false;
  tell("watching");
  render();
}

/** `busiest` returns the pids of the processes that move most; `look` shows the files of one. */
export function start(busiest, look) {
  find("talks").hidden = false;
  find("talks-begin").addEventListener("click", () => {
    pids = [...new Set(busiest())].slice(0, MOST_PIDS);
    if (!pids.length) {
      tell("no process moves bytes now");
      return;
    }
    isOn = true;
    find("talks-begin").hidden = true;
    find("talks-end").hidden = false;
    find("talks-end").focus();
    tell("…");
    ask();
  });
  find("talks-end").addEventListener("click", () => {
    end();
    find("talks-begin").focus();
  });
  find("talks").addEventListener("click", (event) => {
    const pid = event.target.closest("button")?.dataset.pid ?? event.target.pid;
    if (!pid) return;
    look(Number(pid));
    find("look").scrollIntoView({ block: "start" });
  });
  find("arcs").addEventListener("pointermove", point);
  find("arcs").addEventListener("pointerleave", () => { find("tip").hidden = true; });
  document.addEventListener("visibilitychange", ask);
  new ResizeObserver(render).observe(find("arcs").parentElement);
}
