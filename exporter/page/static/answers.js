// SPDX-License-Identifier: GPL-2.0-only
// Two answers in words, from the state: who sends most, and where these bytes end.

import { bytes, plain } from "./words.js";

const share = (part, whole) => `${Math.round((100 * part) / whole)} %`;

function largest(rows) {
  return rows.reduce((best, row) => (!best || row.written > best.written ? row : best), null);
}

/** The process, door and fd type of sockets that send most; null if none does. */
function sender(picture) {
  const types = new Set(picture.ledger.map((line) => line.fd_type));
  const found = largest(picture.flows.filter((flow) => types.has(flow.fd_type) && flow.process !== "(other processes)"));
  return found?.written ? found : null;
}

export function answers(picture, suffix) {
  const most = picture && sender(picture);
  if (!most) return { who: "No process sends on a socket now.", where: "There is nothing to follow now." };
  const behind = picture.behind.filter((row) => row.fd_type === most.fd_type && row.written);
  const whole = behind.reduce((sum, row) => sum + row.written, 0);
  const ends = [...behind].sort((a, b) => b.written - a.written)
    .map((row) => `${share(row.written, whole)} at ${row.device ? `the ${row.device === "network" ? "network card" : row.device}` : row.name}`);
  return {
    who: plain(`${most.process}: ${bytes(most.written, suffix)} through ${most.door} on fds of type ${most.fd_type}.`),
    where: whole
      ? plain(`What this host sends on ${most.fd_type} ends ${ends.join(", ")}.`)
      : `The socket layer is not measured here, so fdscope cannot say where ${most.fd_type} ends.`,
  };
}
