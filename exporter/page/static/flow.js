// SPDX-License-Identifier: GPL-2.0-only
// Draws the picture: one on a wide screen, two halves on a narrow one.

import { graph, LAYERS } from "./graph.js";
import { bytes, label } from "./words.js";

const NARROW_PIXELS = 640;
const GAP_PIXELS = 16;
const HOVER_MILLISECONDS = 8000;
const ORDER = JSON.parse(document.getElementById("live").dataset.order);

let hoveredUntil = 0;

/** False while the pointer is on a line or a box whose numbers are being read. */
export function isFree() {
  return Date.now() > hoveredUntil;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { read: of("read"), written: of("written"), ink: of("ink"), node: of("node"), card: of("card") };
}

function see(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, 0.6)`;
}

/** Where the middle of each node is, from 0 to 1: its place does not depend on other columns. */
function places(nodes, links, height) {
  const size = nodes.map((_, number) => {
    const sum = (end) => links.filter((link) => link[end] === number).reduce((total, link) => total + link.value, 0);
    return Math.max(sum("from"), sum("to"));
  });
  const columns = new Map();
  nodes.forEach((node, number) => columns.set(node.column, [...(columns.get(node.column) ?? []), number]));
  const scale = Math.min(...[...columns.values()].map((numbers) => {
    const total = numbers.reduce((sum, number) => sum + size[number], 0);
    return (height - GAP_PIXELS * (numbers.length - 1)) / total;
  }));
  const middles = [];
  for (const numbers of columns.values()) {
    let top = 0;
    for (const number of numbers) {
      const extent = size[number] * scale;
      middles[number] = Math.min(Math.max((top + extent / 2) / height, 0.001), 0.999);
      top += extent + GAP_PIXELS;
    }
  }
  return middles;
}

function strip(first, last) {
  const element = document.createElement("div");
  element.className = "layers";
  element.style.gridTemplateColumns = `repeat(${last - first}, 1fr)`;
  for (let number = first; number <= last; number += 1) {
    const name = document.createElement("span");
    const strong = document.createElement("b");
    strong.textContent = LAYERS[number][0];
    name.append(strong, LAYERS[number][1]);
    name.style.gridRow = "1";
    name.style.gridColumn = String(Math.min(number - first, last - first - 1) + 1);
    element.append(name);
  }
  return element;
}

function summary(nodes, links, suffix) {
  const largest = [...links].sort((a, b) => b.value - a.value).slice(0, 3);
  const parts = largest.map((link) => `${nodes[link.from].text} to ${nodes[link.to].text}, ${bytes(link.value, suffix)} ${link.way}`);
  return `Flow of bytes from ${LAYERS[nodes[0].column][1]} on; the widest lines: ${parts.join("; ")}. The table below has all.`;
}

function figure(picture, first, last, way, suffix, narrow) {
  const { nodes, links } = graph(picture, first, last, way, ORDER);
  const element = document.createElement("figure");
  element.className = "flow";
  const plot = document.createElement("div");
  plot.className = narrow ? "plot small" : "plot";
  element.append(strip(first, last), plot);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", links.length ? summary(nodes, links, suffix) : "Nothing to show.");
  return { element, draw: () => links.length && draw(plot, nodes, links, { first, last, suffix, narrow }) };
}

function draw(plot, nodes, links, { first, last, suffix, narrow }) {
  const colour = colours();
  const middles = places(nodes, links, plot.clientHeight - 22);
  const short = (node) => label(node.text).replace(", ", narrow ? ",<br>" : ", ");
  const detail = (node) => `${label(node.text)}: ${bytes(node.read, suffix)} read, ${bytes(node.written, suffix)} written`;
  const trace = {
    type: "sankey",
    arrangement: "snap",
    node: {
      label: nodes.map(short),
      x: nodes.map((node) => Math.min(Math.max((node.column - first) / (last - first), 0.001), 0.999)),
      y: middles,
      pad: GAP_PIXELS,
      thickness: narrow ? 8 : 12,
      color: colour.node,
      line: { width: 0 },
      customdata: nodes.map(detail),
      hovertemplate: "%{customdata}<extra></extra>",
    },
    link: {
      source: links.map((link) => link.from),
      target: links.map((link) => link.to),
      value: links.map((link) => link.value),
      color: links.map((link) => see(colour[link.way])),
      hovercolor: links.map((link) => colour[link.way]),
      customdata: links.map((link) => `${label(nodes[link.from].text)} → ${label(nodes[link.to].text)}: ${bytes(link.value, suffix)} ${link.way}`),
      hovertemplate: "%{customdata}<extra></extra>",
    },
  };
  const layout = {
    margin: { l: 4, r: 4, t: 6, b: 16 },
    font: { family: "system-ui, sans-serif", size: narrow ? 11 : 13, color: colour.ink },
    paper_bgcolor: colour.card,
    hoverlabel: { align: "left" },
  };
  Plotly.newPlot(plot, [trace], layout, { displayModeBar: false });
  plot.on("plotly_hover", () => { hoveredUntil = Date.now() + HOVER_MILLISECONDS; });
  plot.on("plotly_unhover", () => { hoveredUntil = 0; });
}

/** Draw `picture` into `place` anew. */
export function show(place, picture, way, suffix) {
  const narrow = place.clientWidth < NARROW_PIXELS;
  const halves = narrow ? [[0, 2], [2, 4]] : [[0, 4]];
  const figures = halves.map(([first, last]) => figure(picture, first, last, way, suffix, narrow));
  place.querySelectorAll(".plot").forEach((old) => Plotly.purge(old));
  place.replaceChildren(...figures.map((each) => each.element));
  figures.forEach((each) => each.draw());
}
