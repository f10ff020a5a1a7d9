// SPDX-License-Identifier: GPL-2.0-only
// Fills the tables. Names come from processes: they are set as text, never as markup.

import { bytes, exactly, plain } from "./words.js";

const MOST_FLOWS = 40;
const MOST_TYPES = 4;
const SHOWN_PROCESSES = 12;

export function element(name, content = "", className = "") {
  const made = document.createElement(name);
  made.className = className;
  if (content instanceof Node) made.append(content);
  else made.textContent = content;
  return made;
}

/** A row; `key` tells it from the others of its table. */
export function row(key, cells) {
  const made = document.createElement("tr");
  made.dataset.key = key;
  made.append(...cells);
  return made;
}

export const cell = (text) => element("td", plain(text));
export const number = (text) => element("td", text, "number");

function strong(text, className = "") {
  return element("td", element("b", plain(text), className));
}

/** The row that is there, with those cells of another one that differ. */
function updated(known, made) {
  [...made.cells].forEach((next, place) => {
    const now = known.cells[place];
    if (!now.isEqualNode(next)) now.replaceWith(next);
  });
  return known;
}

/** Rows are kept from one state to the next, and with them what has the focus. */
export function fill(id, rows) {
  const body = document.querySelector(`#${id} tbody`);
  const there = new Map([...body.rows].map((each) => [each.dataset.key, each]));
  const next = rows.map((made) => (there.has(made.dataset.key) ? updated(there.get(made.dataset.key), made) : made));
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const kept = new Set(next);
  for (const each of there.values()) if (!kept.has(each)) each.remove();
  next.forEach((each, place) => { if (body.rows[place] !== each) body.insertBefore(each, body.rows[place] ?? null); });
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** A name that can be clicked. */
export function named(text, data) {
  const made = element("button", plain(text), "name");
  made.type = "button";
  Object.assign(made.dataset, data);
  return made;
}

const sum = (values) => Object.values(values).reduce((total, value) => total + value, 0);

export function flows(picture, suffix) {
  const sorted = [...picture.flows].sort((a, b) => b.read + b.written - a.read - a.written);
  fill("flow-table", sorted.slice(0, MOST_FLOWS).map((flow) => row(`${flow.door} ${flow.fd_type} ${flow.process}`, [
    strong(flow.process), cell(flow.door), cell(flow.fd_type),
    number(bytes(flow.read, suffix)), number(bytes(flow.written, suffix)),
  ])));
}

/** A bar of parts, as wide as their share of `whole`. */
function bar(parts, whole, className) {
  const made = element("div", "", "bar");
  made.setAttribute("aria-hidden", "true");
  for (const part of parts) {
    const piece = element("i", "", className);
    piece.style.width = `${(100 * part) / whole}%`;
    made.append(piece);
  }
  return made;
}

function side(name, parts, whole, texts, className) {
  const made = element("td", bar(parts, whole, className));
  made.dataset.name = name;
  made.append(texts.filter((text) => text).join(", "));
  return made;
}

export function ledger(picture, sees, total) {
  const suffix = total ? "" : "/s";
  const amount = (value) => (total ? exactly(value) : bytes(value, suffix));
  fill("ledger", picture.ledger.map((line) => {
    const way = line.direction === "sent" ? "written" : "read";
    const doors = Object.entries(line.doors).sort((a, b) => b[1] - a[1]);
    const whole = Math.max(sum(line.doors), line.socket + line.blind, 1);
    const closes = line.residual === 0;
    const verdict = closes ? "0 ✓" : amount(line.residual);
    const last = strong(sees ? verdict : "not measured", closes && sees ? "closes" : "open");
    last.classList.add("number");
    last.dataset.name = "unexplained:";
    return row(`${line.fd_type} ${line.direction}`, [
      strong(`${line.fd_type} ${line.direction}`),
      side("doors:", doors.map((door) => door[1]), whole,
        doors.map(([name, value]) => `${name} ${amount(value)}`), way),
      side("socket layer:", [line.socket], whole, [
        amount(line.socket),
        line.blind && `not seen by its hooks (splice or sendfile) ${amount(line.blind)}`,
        line.kernel && `not included: sockets of the kernel without a file ${amount(line.kernel)}`,
      ], way),
      last,
    ]);
  }));
  const empty = document.getElementById("ledger-empty");
  empty.textContent = "";
  if (!picture.ledger.length) empty.textContent = total ? "No socket has moved a byte yet." : "No socket moves bytes now.";
  else if (!sees) empty.textContent = "This attach mode has no hook on this kernel's socket layer: the doors cannot be compared with it.";
}

/** `search`: only processes whose name contains it. */
export function processes(picture, fdType, suffix, search) {
  const of = (values) => (fdType ? values[fdType] ?? 0 : sum(values));
  const chosen = picture.processes
    .map((process) => ({ ...process, in: of(process.read), out: of(process.written) }))
    .filter((process) => process.in + process.out > 0 && process.process.toLowerCase().includes(search.toLowerCase()))
    .sort((a, b) => b.in + b.out - a.in - a.out)
    .slice(0, SHOWN_PROCESSES);
  fill("processes", chosen.map((process) => {
    const types = Object.keys({ ...process.read, ...process.written })
      .map((name) => [name, (process.read[name] ?? 0) + (process.written[name] ?? 0)])
      .filter((type) => type[1] > 0).sort((a, b) => b[1] - a[1]);
    const texts = types.slice(0, MOST_TYPES).map(([name, value]) => `${name} ${bytes(value, suffix)}`);
    if (types.length > MOST_TYPES) texts.push(`${types.length - MOST_TYPES} more`);
    const [read, written, open] = [number(bytes(process.in, suffix)), number(bytes(process.out, suffix)),
      number(process.open === null ? "" : String(process.open))];
    [read.dataset.name, written.dataset.name, open.dataset.name] = ["read", "written", "open fds"];
    const name = named(process.process, { process: process.process, pid: process.pid });
    return row(`${process.pid} ${process.unit} ${process.process}`, [element("td", element("b", name)), cell(process.pid || "short-lived"), read, written,
      cell(texts.join(", ")), open, cell(process.unit)]);
  }));
  document.getElementById("processes-empty").textContent = chosen.length ? "" : "No process moves bytes here now.";
}

export function devices(picture, suffix) {
  fill("devices", picture.devices.map((device) => row(device.device, [
    strong(device.device), cell(device.kind), number(bytes(device.read, suffix)), number(bytes(device.written, suffix)),
  ])));
}

export function openFds(open) {
  const types = Object.entries(open).sort((a, b) => b[1] - a[1]);
  document.getElementById("open").hidden = !types.length;
  fill("open-table", types.map(([name, count]) => row(name, [strong(name), number(String(count))])));
}

/** Offer each fd type that has been seen, once. */
export function offerTypes(select, picture) {
  const known = new Set([...select.options].map((option) => option.value));
  const seen = new Set(picture.flows.map((flow) => flow.fd_type));
  for (const name of [...seen].sort()) if (!known.has(name)) select.append(new Option(name, name));
}
