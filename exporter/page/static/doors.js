// SPDX-License-Identifier: GPL-2.0-only
// The same bytes through four files: asks the exporter to run it, and shows what the probes saw.

import { asked, exactly, plain } from "./words.js";

const STEP_MILLISECONDS = 1800;
const TITLES = { file: "a file", pipe: "a pipe", tcp: "a TCP connection", terminal: "a terminal" };
const BELOW = { file: "filesystem", pipe: "pipe", tcp: "protocol", terminal: "terminal driver" };
const find = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

let timer = 0;

function element(name, className, ...content) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...content.map((part) => (part instanceof Node ? part : plain(String(part)))));
  return made;
}

const code = (text) => element("code", "", text);

function counted(bytes, lane) {
  const right = bytes === lane.written;
  return element("b", right ? "closes" : "open", `${exactly(bytes)} ${right ? "✓" : `of ${exactly(lane.written)}`}`);
}

/** One row of the drawing: the name of its layer, and a cell for each lane. */
function row(step, layer, explained, cells, shared) {
  const made = element("div", `row step${step}${shared ? " shared" : ""}`);
  made.append(element("div", "layer", element("b", "", layer), ` ${explained}`));
  cells.forEach((cell, number) => {
    const lane = element("div", "cell", ...cell);
    lane.dataset.name = Object.values(TITLES)[number];
    made.append(lane);
  });
  return made;
}

function functions(lane) {
  if (!lane.functions.length) return ["names of kernel functions are hidden here"];
  return lane.functions.flatMap((name, number) => (number ? [element("br", ""), "↓ ", code(`${name}()`)] : [code(`${name}()`)]));
}

function below(lane) {
  const name = lane.name === "file" ? lane.filesystem : { pipe: "pipe", tcp: "TCP", terminal: "pty" }[lane.name];
  const cell = [element("b", "", name), element("br", ""), `${BELOW[lane.name]}, inode in ${lane.filesystem}`];
  if (lane.socket_layer !== null) cell.push(element("br", ""), "counted again here, by other hooks: ", counted(lane.socket_layer, lane));
  return cell;
}

function draw(lanes, bytes) {
  const head = element("div", "row head");
  head.append(element("div", "layer"), ...lanes.map((lane) => element("div", "cell", element("b", "", TITLES[lane.name]))));
  const tokens = element("div", "tokens");
  tokens.setAttribute("aria-hidden", "true");
  tokens.append(element("span", "layer"), ...lanes.map((lane) => element("span", "", element("i", lane.name))));
  find("lanes").replaceChildren(
    head,
    row(1, "System call", "the same for all", lanes.map((lane) => [code(`${lane.call}(${lane.fd}, text, ${bytes})`)]), true),
    row(2, "fd", "a number in the process's table of open files", lanes.map((lane) => [code(`${lane.fd} → ${lane.link}`), element("br", ""), `fd type ${lane.fd_type}`]), true),
    row(3, "struct file", "vfs_write(): the file layer, where fdscope counts", lanes.map((lane) => [counted(lane.file_layer, lane)]), true),
    row(4, "file→f_op", "the table of functions that each file points to", lanes.map(functions)),
    row(5, "Component", "what the file stands for", lanes.map(below)),
    tokens,
  );
}

function captions(lanes, bytes) {
  const socket = lanes.find((lane) => lane.name === "tcp");
  const agree = lanes.filter((lane) => lane.file_layer === lane.written).length;
  return [
    `One small process makes the same system call four times: write(), with ${exactly(bytes)} of text.`,
    `Each call names an fd. fd ${socket.fd} is ${socket.link}: a socket, in the same table as the file, the pipe and the terminal.`,
    `Each fd stands for a struct file. The kernel's file layer moves the bytes of all of them: ${agree} of ${lanes.length} counts are exact.`,
    "Only here do the ways part: vfs_write() calls the function that this file's table names.",
    "Behind it is what the file stands for: a filesystem, a pipe, the TCP/IP stack, a terminal driver.",
    `Yes, a socket is a file here: fd ${socket.fd} is one, its bytes went through the same layer, and ${agree} of ${lanes.length} counts are exact.`,
  ];
}

function tellOfSend(sent) {
  find("doors-send").hidden = !sent;
  if (!sent) return;
  find("doors-send").replaceChildren(
    "The truth is finer for ", code("send()"), ": the same process sent the same text through the same fd ", code(String(sent.fd)),
    " with it. The kernel finds the same struct file, but does not ask its table: it goes on to ",
    ...(sent.functions.length ? [code(sent.functions.map((name) => `${name}()`).join(" → "))] : ["the protocol"]),
    " past vfs_write(). fdscope counts this as the door ", code(sent.door), ": ", counted(sent.file_layer, sent), ".",
  );
}

function play(lanes, bytes) {
  const texts = captions(lanes, bytes);
  const place = find("lanes");
  clearInterval(timer);
  const go = (step) => {
    place.dataset.step = String(step);
    find("doors-caption").textContent = plain(texts[Math.min(step, texts.length) - 1]);
  };
  if (still.matches) {
    go(texts.length);
    return;
  }
  go(1);
  timer = setInterval(() => {
    const next = Number(place.dataset.step) + 1;
    go(next);
    if (next >= texts.length) clearInterval(timer);
  }, STEP_MILLISECONDS);
}

async function ask() {
  const answer = await fetch(asked("doors"), { method: "POST", headers: { "X-Fdscope": "doors" } });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

/** Run it once; again at each press of the button. */
export async function run() {
  const button = find("doors-again");
  button.disabled = true;
  find("doors-caption").textContent = "Writing the bytes…";
  try {
    const { lanes, bytes } = await ask();
    const written = lanes.filter((lane) => lane.call === "write");
    const sent = lanes.find((lane) => lane.call === "send");
    draw(written, bytes);
    tellOfSend(sent);
    play(written, bytes);
  } catch (error) {
    find("doors-caption").textContent = plain(`This cannot be shown: ${error.message}`);
  }
  button.disabled = false;
}

export function start() {
  find("doors-again").addEventListener("click", run);
  run();
}
