// SPDX-License-Identifier: GPL-2.0-only
// From the rows of a state to the nodes and links of the picture; nothing is drawn here.

export const LAYERS = [
  ["application", "process"],
  ["system call", "door"],
  ["file layer", "fd type"],
  ["component", "protocol, filesystem"],
  ["device", "\u00a0"],
];
const OTHER_PROCESSES = "(other processes)";
const OTHERS = "(others)";
const MOST_NODES = 9;
const DEVICES = ["loopback", "network", "disk"];

function position(list, name) {
  const at = list.indexOf(name);
  return at < 0 ? list.length : at;
}

function deviceLabel(way, devices) {
  const kinds = { loopback: ["loopback"], network: ["nic", "virtual"], disk: ["block"] }[way];
  const names = devices.filter((d) => kinds.includes(d.kind) && d.read + d.written > 0).map((d) => d.device);
  const name = names.length === 1 ? names[0] : way;
  return way === "disk" ? `page cache, ${name}` : name;
}

/** The lines between columns: [column, from, to, bytes read, bytes written]. */
function lines(picture) {
  const types = new Set(picture.flows.map((row) => row.fd_type));
  const behind = picture.behind.filter((row) => types.has(row.fd_type));
  return [
    ...picture.flows.map((row) => [0, row.process, row.door, row.read, row.written]),
    ...picture.flows.map((row) => [1, row.door, row.fd_type, row.read, row.written]),
    ...behind.map((row) => [2, row.fd_type, row.name, row.read, row.written]),
    ...behind.filter((row) => row.device).map((row) => [3, row.name, row.device, row.read, row.written]),
  ];
}

/** Nodes of a column in their order; the small ones beyond MOST_NODES become one. */
function column(number, sizes, ranks, order) {
  const names = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a));
  const kept = names.slice(0, names.length > MOST_NODES ? MOST_NODES - 1 : MOST_NODES);
  const place = {
    0: (name) => (name === OTHER_PROCESSES ? Infinity : -sizes.get(name)),
    1: (name) => position(order.doors, name),
    2: (name) => position(order.fd_types, name),
    3: (name) => ranks.get(name),
    4: (name) => position(DEVICES, name),
  }[number];
  const rank = new Map(kept.map((name) => [name, place(name)]));
  kept.sort((a, b) => (rank.get(a) === rank.get(b) ? a.localeCompare(b) : rank.get(a) - rank.get(b)));
  return { kept, merged: new Set(names.slice(kept.length)) };
}

/**
 * The nodes and links of the columns from `first` to `last`, for one direction or "both".
 * `order` has the names of doors and of fd types, from top to bottom.
 * Node: {column, name, text, read, written}; link: {from, to (numbers of nodes), way, value}.
 */
export function graph(picture, first, last, way, order) {
  const ways = way === "both" ? ["read", "written"] : [way];
  const amounts = (row) => ({ read: ways.includes("read") ? row[3] : 0, written: ways.includes("written") ? row[4] : 0 });
  const isShown = (row) => row[0] >= first && row[0] < last && amounts(row).read + amounts(row).written > 0;
  const rows = lines(picture).filter(isShown);
  const sides = LAYERS.map(() => [new Map(), new Map()]); // into the column, and out of it
  for (const row of rows) {
    const { read, written } = amounts(row);
    for (const [where, side, name] of [[row[0], 1, row[1]], [row[0] + 1, 0, row[2]]]) {
      const sum = sides[where][side].get(name) ?? { read: 0, written: 0 };
      sides[where][side].set(name, { read: sum.read + read, written: sum.written + written });
    }
  }
  const ranks = new Map(picture.behind.map((row) => [row.name, position(order.fd_types, row.fd_type)]));
  const nodes = [];
  const numbers = new Map();
  for (let number = first; number <= last; number += 1) {
    const [into, out] = sides[number];
    const sizes = new Map();
    for (const [name, sum] of [...into, ...out]) {
      sizes.set(name, Math.max(sizes.get(name) ?? 0, sum.read + sum.written));
    }
    const { kept, merged } = column(number, sizes, ranks, order);
    for (const name of merged.size ? [...kept, OTHERS] : kept) {
      const sum = (name === OTHERS ? null : into.get(name) ?? out.get(name)) ?? { read: 0, written: 0 };
      const text = number === 4 ? deviceLabel(name, picture.devices) : name;
      numbers.set(`${number} ${name}`, nodes.push({ column: number, name, text, ...sum }) - 1);
    }
    for (const name of merged) numbers.set(`${number} ${name}`, numbers.get(`${number} ${OTHERS}`));
  }
  const links = new Map();
  for (const row of rows) {
    const [from, to] = [numbers.get(`${row[0]} ${row[1]}`), numbers.get(`${row[0] + 1} ${row[2]}`)];
    for (const each of ways) {
      const key = `${from} ${to} ${each}`;
      const link = links.get(key) ?? { from, to, way: each, value: 0 };
      link.value += each === "read" ? row[3] : row[4];
      if (link.value) links.set(key, link);
    }
  }
  return { nodes, links: [...links.values()] };
}
