// SPDX-License-Identifier: GPL-2.0-only
// Numbers and names as people read them.

/** The address of a path of the exporter, without the password that may stand in the page's own. */
export function asked(path) {
  return new URL(path, location.origin + location.pathname);
}

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** 12345678 as "12.3 MB", with "/s" where it is a rate. */
export function bytes(value, suffix = "") {
  let power = 0;
  let rest = value;
  while (Math.round(rest) >= 1000 && power < PREFIXES.length - 1) {
    rest /= 1000;
    power += 1;
  }
  const digits = power && rest < 99.95 ? 1 : 0;
  return `${rest.toFixed(digits)} ${PREFIXES[power]}B${suffix}`;
}

/** All digits, in groups: "12 345 678 B". */
export function exactly(value) {
  return `${count(Math.round(value))} B`;
}

/** Seconds as "3.2 ms", "45 s" or "12 min". */
export function duration(seconds) {
  for (const [limit, factor, unit] of [[1e-3, 1e6, "µs"], [1, 1e3, "ms"], [120, 1, "s"]]) {
    if (seconds < limit) return `${Number((seconds * factor).toPrecision(seconds * factor < 100 ? 2 : 3))} ${unit}`;
  }
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** All digits of a count, in groups. */
export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A name that programs choose: what could hide or turn around text is shown as a box. */
export function plain(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}
