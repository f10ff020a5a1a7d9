// SPDX-License-Identifier: GPL-2.0-only
// Life lines of a process's files: a bar from opening to closing.

import { drawn } from "./svg.js";
import { count, duration, plain } from "./words.js";

const MOST_LINES = 40;
const MOST_ALIKE = 8;
const LEAST_SECONDS = 60;
const ROW_PIXELS = 26;
const AXIS_PIXELS = 18;
const BAR_Y = 17;
const MARGIN_PIXELS = 6;
const PIXELS_A_CHARACTER = 6.4;
const find = (id) => document.getElementById(id);

/** From the row of a document to {file, from, to}, in seconds ago; null for not seen, or not yet. */
function lifeOf(file) {
  return {
    file,
    from: file.opened_by || !file.open ? file.age_seconds : null,
    to: file.open ? null : file.closed_seconds_ago,
    alike: `${file.fd_type} ${file.name}`,
  };
}

/** Several that were closed are one row, without an id. */
function isOf(pass, file) {
  return pass.id && file.id ? pass.id === file.id : pass.fd_type === file.fd_type && pass.name === file.name;
}

/** Those that show most: what began or ended within the time, then what is used. */
function chosen(lives, uses, seconds) {
  const rank = ({ file, from, to }) => (from !== null && from <= seconds ? 2 : 0) + (to !== null ? 2 : 0)
    + (uses.has(file.id) ? 3 : 0);
  const perName = new Map();
  const left = new Map();
  const shown = [];
  for (const life of [...lives].sort((a, b) => rank(b) - rank(a) || (a.from ?? Infinity) - (b.from ?? Infinity))) {
    const alike = (perName.get(life.alike) ?? 0) + 1;
    perName.set(life.alike, alike);
    if (alike <= MOST_ALIKE && shown.length < MOST_LINES) shown.push(life);
    else left.set(life.alike, (left.get(life.alike) ?? []).concat(life));
  }
  return { shown: shown.sort((a, b) => (b.from ?? Infinity) - (a.from ?? Infinity)), left };
}

function label(life, room) {
  const { file } = life;
  const fds = file.fds.length ? `fd ${file.fds.join(", ")} ` : "";
  const times = file.files > 1 ? ` (${count(file.files)} times)` : "";
  const how = [];
  if (file.passed_by) how.push(`← received from ${file.passed_by.process} (${file.passed_by.pid})`);
  for (const pass of life.passed) how.push(`→ passed to ${pass.process} (${pass.pid})${pass.files > 1 ? ` ${count(pass.files)} times` : ""}`);
  if (!file.open) how.push(`closed${file.closed_by ? ` by ${file.closed_by}` : ""}`);
  const text = plain(`${fds}${file.fd_type} ${file.name ?? "?"}${times} ${how.join(", ")}`.trim());
  const most = Math.max(Math.floor(room / PIXELS_A_CHARACTER), 12);
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

function line(life, y, x, uses, now, width) {
  const group = drawn("g", life.file.open ? "life-line" : "life-line over", {});
  const [from, to] = [life.from === null ? 0 : x(life.from), life.to === null ? width : x(life.to)];
  group.append(
    drawn("text", "life-label", { x: MARGIN_PIXELS, y: y + 11 }, label(life, width)),
    drawn("rect", life.file.files > 1 ? "life-bar many" : "life-bar", { x: from, y: y + BAR_Y, width: Math.max(to - from, 1), height: 2 }),
  );
  for (const use of uses.get(life.file.id) ?? []) {
    const [left, right] = [x(now - use.from), x(now - use.to)];
    for (const [way, offset] of [["read", 0], ["written", 3]]) {
      if (use[way]) group.append(drawn("rect", `life-use ${way}`, { x: left, y: y + BAR_Y - 2 + offset, width: Math.max(right - left, 1), height: 3 }));
    }
  }
  if (life.from !== null) group.append(drawn("circle", "life-end", { cx: from, cy: y + BAR_Y + 1, r: 3 }));
  if (life.to !== null) group.append(drawn("rect", "life-end", { x: to - 1, y: y + BAR_Y - 3, width: 2, height: 8 }));
  for (const pass of life.passed) {
    const at = x(pass.seconds_ago ?? 0);
    group.append(drawn("path", "life-pass", { d: `M${at},${y + BAR_Y + 1}l6,6m-5,0h5v-5` }));
  }
  return group;
}

function axis(width, x, seconds, bottom) {
  const group = drawn("g", "life-axis", {});
  for (const part of [1, 0.5, 0]) {
    const ago = seconds * part;
    const anchor = { 1: "start", 0.5: "middle", 0: "end" }[part];
    group.append(
      drawn("line", "life-grid", { x1: x(ago), x2: x(ago), y1: 0, y2: bottom }),
      drawn("text", "life-time", { x: x(ago), y: bottom + 13, "text-anchor": anchor }, ago ? `${duration(ago)} ago` : "now"),
    );
  }
  return group;
}

/** Draw the files of a document; `uses` by the id of the file; of at most so many seconds. */
export function showLife(process, uses, most) {
  const svg = find("life");
  const width = svg.clientWidth;
  if (!width) return;
  const now = process.watched_seconds;
  const seconds = Math.min(Math.max(now, LEAST_SECONDS), most);
  const x = (ago) => width - (Math.min(Math.max(ago, 0), seconds) / seconds) * width;
  const lives = process.files.map(lifeOf).filter((life) => life.to === null || life.to <= seconds);
  for (const life of lives) life.passed = process.passed.filter((pass) => isOf(pass, life.file));
  const { shown, left } = chosen(lives, uses, seconds);
  const bottom = shown.length * ROW_PIXELS;
  svg.style.height = `${bottom + AXIS_PIXELS}px`;
  svg.replaceChildren(axis(width, x, seconds, bottom),
    ...shown.map((life, place) => line(life, place * ROW_PIXELS, x, uses, now, width)));
  const born = lives.filter((life) => life.from !== null && life.from <= seconds && life.file.opened_by);
  const still = born.filter((life) => life.file.open).length;
  const sentences = [`In the last ${duration(seconds)}: ${count(born.length)} of the files here were opened, of which ${count(still)} are open still.`];
  const alike = [...left].sort((a, b) => b[1].length - a[1].length).slice(0, 3)
    .map(([, of]) => `${count(of.length)} more like ${of[0].file.name ?? "one without a name"}${of.every((life) => life.file.open) ? ", all open" : ""}`);
  if (alike.length) sentences.push(`Not drawn: ${alike.join("; ")}${left.size > 3 ? "; and others" : ""}.`);
  const said = plain(sentences.join(" "));
  if (find("life-said").textContent !== said) find("life-said").textContent = said;
}
