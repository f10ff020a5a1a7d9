// SPDX-License-Identifier: GPL-2.0-only
// Draws the picture: one on a wide screen, two halves on a narrow one. Lines and boxes are kept from
// one state to the next, so that they move to their new places.

import { graph, LAYERS } from "./graph.js";
import { drawn, set } from "./svg.js";
import { bytes, plain } from "./words.js";

const NARROW_PIXELS = 640;
const GAP_PIXELS = 18;
const MARGIN_PIXELS = 4;
const BOTTOM_PIXELS = 14;
const LEAST_WIDTH = 1;
const ORDER = JSON.parse(document.getElementById("live").dataset.order);

const tip = document.getElementById("tip");

/** Adds to each node its place, and to each link the places of its ends, in pixels. */
function place(nodes, links, { first, last, width, height, thickness }) {
  for (const node of nodes) Object.assign(node, { from: [], into: [] });
  for (const link of links) {
    nodes[link.from].from.push(link);
    nodes[link.to].into.push(link);
  }
  const total = (side) => side.reduce((sum, link) => sum + link.value, 0);
  const columns = new Map();
  for (const node of nodes) {
    node.size = Math.max(total(node.from), total(node.into));
    columns.set(node.column, [...(columns.get(node.column) ?? []), node]);
  }
  const scale = Math.min(...[...columns.values()].map((column) =>
    (height - GAP_PIXELS * (column.length - 1)) / column.reduce((sum, node) => sum + node.size, 0)));
  for (const column of columns.values()) {
    let top = 0;
    for (const node of column) {
      node.x = MARGIN_PIXELS + ((node.column - first) / (last - first)) * (width - 2 * MARGIN_PIXELS - thickness);
      node.y = top;
      node.height = Math.max(node.size * scale, LEAST_WIDTH);
      top += node.size * scale + GAP_PIXELS;
    }
  }
  for (const node of nodes) {
    for (const [side, other, end] of [[node.from, "to", "y0"], [node.into, "from", "y1"]]) {
      let top = node.y;
      for (const link of [...side].sort((a, b) => nodes[a[other]].y - nodes[b[other]].y || a.way.localeCompare(b.way))) {
        link.width = link.value * scale;
        link[end] = top + link.width / 2;
        top += link.width;
      }
    }
  }
}

function curve(link, nodes, thickness) {
  const [x0, x1] = [nodes[link.from].x + thickness, nodes[link.to].x];
  const middle = (x0 + x1) / 2;
  return `M${x0},${link.y0.toFixed(1)}C${middle},${link.y0.toFixed(1)} ${middle},${link.y1.toFixed(1)} ${x1},${link.y1.toFixed(1)}`;
}

function summary(nodes, links, suffix) {
  const largest = [...links].sort((a, b) => b.value - a.value).slice(0, 3);
  const parts = largest.map((link) => `${nodes[link.from].text} to ${nodes[link.to].text}, ${bytes(link.value, suffix)} ${link.way}`);
  return `Flow of bytes from ${LAYERS[nodes[0].column][1]} on; the widest lines: ${parts.join("; ")}. The table below has all.`;
}

/** The columns from `first` to `last` of the picture. */
class Figure {
  constructor(first, last, narrow) {
    Object.assign(this, { first, last });
    this.thickness = narrow ? 8 : 12;
    this.element = document.createElement("figure");
    this.element.className = "flow";
    this.svg = drawn("svg", narrow ? "plot small" : "plot");
    this.svg.setAttribute("role", "img");
    this.layers = ["links", "nodes", "labels"].map((name) => this.svg.appendChild(drawn("g", name)));
    this.element.append(this.strip(), this.svg);
    this.kept = new Map();
  }

  strip() {
    const element = document.createElement("div");
    element.className = "layers";
    element.style.gridTemplateColumns = `repeat(${this.last - this.first}, 1fr)`;
    for (let number = this.first; number <= this.last; number += 1) {
      const name = document.createElement("span");
      const strong = document.createElement("b");
      strong.textContent = LAYERS[number][0];
      name.append(strong, LAYERS[number][1]);
      name.style.gridRow = "1";
      name.style.gridColumn = String(Math.min(number - this.first, this.last - this.first - 1) + 1);
      element.append(name);
    }
    return element;
  }

  /** The element of that key: the one that is there, or a new one. */
  one(key, layer, name, className) {
    const known = this.kept.get(key);
    if (known) {
      this.unused.delete(key);
      return known;
    }
    const made = drawn(name, className);
    this.kept.set(key, made);
    this.layers[layer].append(made);
    return made;
  }

  show(picture, way, suffix, search) {
    const { first, last, thickness } = this;
    const { nodes, links } = graph(picture, first, last, way, ORDER);
    this.svg.setAttribute("aria-label", links.length ? summary(nodes, links, suffix) : "Nothing to show.");
    this.unused = new Set(this.kept.keys());
    if (links.length) {
      const { clientWidth: width, clientHeight } = this.svg;
      place(nodes, links, { first, last, width, height: clientHeight - BOTTOM_PIXELS, thickness });
      const found = (node) => !search || plain(node.text).toLowerCase().includes(search);
      for (const link of links) {
        const [from, to] = [nodes[link.from], nodes[link.to]];
        const key = `${from.column} ${from.name} ${to.name} ${link.way}`;
        const line = this.one(key, 0, "path", `sankey-link ${link.way}`);
        set(line, { d: curve(link, nodes, thickness), "stroke-width": Math.max(link.width, LEAST_WIDTH).toFixed(1) });
        line.classList.toggle("faint", !found(from) && !found(to));
        line.detail = `${plain(from.text)} → ${plain(to.text)}: ${bytes(link.value, suffix)} ${link.way}`;
      }
      for (const node of nodes) this.node(node, suffix, found(node));
    }
    for (const key of this.unused) {
      this.kept.get(key).remove();
      this.kept.delete(key);
    }
  }

  node(node, suffix, isFound) {
    const key = `${node.column} ${node.name}`;
    const box = this.one(key, 1, "rect", "sankey-node");
    const isLast = node.column === this.last;
    set(box, { x: node.x.toFixed(1), y: node.y.toFixed(1), width: this.thickness, height: node.height.toFixed(1) });
    const label = this.one(`${key} label`, 2, "text", "node-label");
    set(label, {
      x: (isLast ? node.x - 5 : node.x + this.thickness + 5).toFixed(1),
      y: (node.y + node.height / 2).toFixed(1),
      "text-anchor": isLast ? "end" : "start",
      "dominant-baseline": "central",
    });
    const text = plain(node.text);
    if (label.textContent !== text) label.textContent = text;
    for (const each of [box, label]) {
      each.classList.toggle("faint", !isFound);
      each.classList.toggle("choice", node.column === 0);
      each.detail = `${text}: ${bytes(node.read, suffix)} read, ${bytes(node.written, suffix)} written`;
      each.process = node.column === 0 ? node.name : null;
    }
  }
}

let figures = [];
let chooser = () => {};

/** Shows the detail of what is pointed at. */
export function point(event) {
  const { detail } = event.target;
  tip.hidden = !detail;
  if (!detail) return;
  tip.textContent = detail;
  const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${event.clientY + 16}px`;
}

function build(place, narrow, whole) {
  const last = whole ? LAYERS.length - 1 : 2;
  const halves = narrow && whole ? [[0, 2], [2, 4]] : [[0, last]];
  figures = halves.map(([first, end]) => new Figure(first, end, narrow));
  place.replaceChildren(...figures.map((figure) => figure.element));
  place.dataset.shape = `${narrow} ${whole}`;
  place.classList.toggle("alone", !whole);
  for (const { svg } of figures) {
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerleave", () => { tip.hidden = true; });
    svg.addEventListener("click", (event) => event.target.process && chooser(event.target.process));
  }
}

/** Call `choose` with the name of a process when its box is clicked. */
export function onChoice(choose) {
  chooser = choose;
}

/**
 * Draw `picture` into `place`. `process`: only its flows, up to the fd types, behind which bytes are
 * counted by host. `search`: what does not contain it becomes faint.
 */
export function show(place, picture, way, suffix, process, search) {
  const narrow = place.clientWidth < NARROW_PIXELS;
  if (place.dataset.shape !== `${narrow} ${!process}`) build(place, narrow, !process);
  const chosen = process ? { ...picture, flows: picture.flows.filter((flow) => flow.process === process) } : picture;
  for (const figure of figures) figure.show(chosen, way, suffix, search.toLowerCase());
}
