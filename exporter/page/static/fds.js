// SPDX-License-Identifier: GPL-2.0-only
// The table of a process's open files, and one of them in full.

import { cell, element, fill, named, number, row } from "./tables.js";
import { bytes, count, duration, exactly, plain } from "./words.js";

const MOST_PEERS = 3;
const MOST_ALIKE = 4; // rows of one type and name, unless they are searched for
const find = (id) => document.getElementById(id);

const called = (file) => file.name ?? `no name: ${file.why_no_name}`;

/** The bytes that went through a file, of the operations that succeeded. */
export function moved(file) {
  const of = (what) => file.operations.filter((each) => each.what === what && !each.errno)
    .reduce((sum, each) => sum + each.bytes, 0);
  return { read: of("read"), written: of("write") };
}

function amount(total, rate) {
  const made = number(exactly(total));
  if (rate) made.append(element("br"), element("b", bytes(rate, "/s")));
  return made;
}

/** "closed by exec"; what was not seen is said. */
function since(file) {
  if (!file.opened_by) return "before it was watched";
  const how = { passed_fd: "received" }[file.opened_by] ?? file.opened_by;
  return `${duration(file.age_seconds ?? 0)}, by ${how}`;
}

function queues(file) {
  if (file.receive_queue === undefined) return "";
  if (file.receive_queue === null) return "not known";
  return `${exactly(file.receive_queue)} in, ${exactly(file.send_queue)} out`;
}

function nameOf(file, rate) {
  const made = element("td");
  const text = `${called(file)}${file.deleted ? " (deleted)" : ""}${file.name_is_whole === false ? " (outer folders not read)" : ""}`;
  made.append(element("b", named(text, { file: file.id })));
  if (file.state) made.append(` ${file.state}`);
  const peers = file.peers ?? [];
  if (peers.length) {
    made.append(element("br"), "other end: ");
    peers.slice(0, MOST_PEERS).forEach((peer, place) => {
      if (place) made.append(", ");
      made.append(named(`${peer.process} (pid ${peer.pid}, fd ${peer.fd})`, { pid: String(peer.pid) }));
    });
    if (peers.length > MOST_PEERS) made.append(` and ${peers.length - MOST_PEERS} more`);
  }
  if (file.passed_by) made.append(element("br"), plain(`received from ${file.passed_by.process} (pid ${file.passed_by.pid})`));
  made.classList.toggle("moving", Boolean(rate?.read || rate?.written));
  return made;
}

/** The first of each type and name, and how many more there are of a name. */
function unlike(files) {
  const alike = new Map();
  const shown = [];
  const left = new Map();
  for (const file of files) {
    const key = `${file.fd_type} ${file.name}`;
    alike.set(key, (alike.get(key) ?? 0) + 1);
    if (alike.get(key) <= MOST_ALIKE) shown.push(file);
    else left.set(called(file), (left.get(called(file)) ?? 0) + 1);
  }
  return { shown, left };
}

/** `rates`: bytes per second by the id of the file. `search`: in names and types. */
export function showTable(process, rates, search) {
  const isFound = (file) => !search || plain(`${called(file)} ${file.fd_type}`).toLowerCase().includes(search);
  const open = process.files.filter((file) => file.open);
  const found = open.filter(isFound);
  const { shown, left } = search ? { shown: found, left: new Map() } : unlike(found);
  fill("fds", shown.map((file) => {
    const rate = rates.get(file.id);
    const sum = moved(file);
    const cells = [
      number(file.fds.join(", ")), cell(file.fd_type), nameOf(file, rate), amount(sum.read, rate?.read),
      amount(sum.written, rate?.written), element("td", queues(file), "number"), cell(since(file)),
      cell(file.idle_seconds === null ? "not while watched" : `${duration(Math.max(file.idle_seconds, 0))} ago`),
      cell([file.access, ...(file.flags ?? [])].filter(Boolean).join(" ")),
    ];
    ["", "", "", "read", "written", "queues", "open since", "last used", "flags"].forEach((name, place) => {
      if (name) cells[place].dataset.name = name;
    });
    return row(file.id, cells);
  }));
  const notes = [...left].sort((a, b) => b[1] - a[1]).slice(0, MOST_PEERS)
    .map(([name, more]) => `${count(more)} more of ${name}: search for it to see them.`);
  if (process.not_shown.open) notes.push(`${count(process.not_shown.open)} open files that move less are not in the table.`);
  if (found.length < open.length) notes.push(`${count(open.length - found.length)} do not match what is searched.`);
  notes.push(`Bytes are those since it is watched. Queues are known of TCP sockets. Closed since then: ${count(process.closed_files)} files.`);
  find("fds-more").textContent = plain(notes.join(" "));
}

function fact(name, value) {
  return [element("dt", name), element("dd", plain(value))];
}

function way(file) {
  const doors = [...new Set(file.operations.map((each) => each.door))];
  const where = file.filesystem === "sockfs" ? file.fd_type : file.filesystem ?? file.fd_type;
  return [doors.join(", ") || "no call yet", `fd ${file.fds.join(", ") || "closed"}`, "struct file", where, file.device]
    .filter(Boolean).join(" → ");
}

/** All that is known of the file with this id; null for none. */
export function showFile(process, id) {
  const file = id && process?.files.find((each) => each.id === id);
  find("file").hidden = !id;
  if (!id) return;
  find("file-none").textContent = "";
  if (!file) {
    find("file-none").textContent = "It is closed, and not among the files that are kept one by one.";
    return;
  }
  find("file-title").textContent = plain(called(file));
  find("file-way").textContent = plain(`Its way: ${way(file)}`);
  const closed = file.open ? "" : `${duration(file.closed_seconds_ago ?? 0)} ago, by ${file.closed_by ?? "what was not seen"}`;
  find("file-facts").replaceChildren(...[
    ["fd type", file.fd_type], ["open since", since(file)], ["closed", closed],
    ["received from", file.passed_by && `${file.passed_by.process} (pid ${file.passed_by.pid})`],
    ["local", file.local], ["remote", file.remote], ["state", file.state], ["queues", queues(file)],
    ["position", file.position === undefined ? "" : exactly(file.position)],
    ["flags", [file.access, ...(file.flags ?? [])].filter(Boolean).join(" ")],
    ["inode", file.inode && String(file.inode)], ["filesystem", file.filesystem], ["device", file.device],
  ].filter((each) => each[1]).flatMap(([name, value]) => fact(name, value)));
  const order = [...file.operations].sort((a, b) => b.bytes - a.bytes || b.operations - a.operations);
  fill("file-done", order.map((done) => row(`${done.what} ${done.door} ${done.errno}`, [
    cell(done.door), cell(done.what), element("td", element("b", done.errno ?? "done", done.errno ? "failed" : "")),
    number(count(done.operations)), number(exactly(done.bytes)),
    number(done.seconds === null ? "not measured" : duration(done.seconds)),
    number(done.seconds === null ? "" : duration(done.seconds / done.operations)),
  ])));
  const measured = file.operations.some((done) => done.seconds !== null);
  find("file-none").textContent = !file.operations.length ? "Nothing was done to it since it is watched."
    : measured ? "Times include waiting. The time at each station below the file layer is not measured."
      : "Times are not measured here: they need --probe.latency, in tracepoint mode.";
}
