// SPDX-License-Identifier: GPL-2.0-only
// The last hour: a slider over the times of which the exporter keeps the state.

import { asked } from "./words.js";

const REFRESH_MILLISECONDS = 15000;
const find = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

let times = [];
let wanted = null; // a time; null for now

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(asked("history"));
  find("past").hidden = !answer.ok;
  if (!answer.ok) return;
  ({ times } = await answer.json());
  const slider = find("time");
  slider.max = String(times.length);
  const place = wanted === null ? times.length : times.findLastIndex((time) => time <= wanted);
  slider.value = String(Math.max(place, 0));
  slider.disabled = !times.length;
}

/** The time that is looked at, as a person reads it; null for now. */
export function shownTime() {
  return wanted === null ? null : clock.format(wanted * 1000);
}

/** Call `show` with the state of the chosen time, or with null for now. */
export function start(show) {
  find("time").addEventListener("input", async () => {
    const place = Number(find("time").value);
    wanted = place < times.length ? times[place] : null;
    const asking = wanted;
    find("time-shown").textContent = shownTime() ?? "now";
    find("time").setAttribute("aria-valuetext", shownTime() ?? "now");
    if (asking === null) {
      show(null);
      return;
    }
    const answer = await fetch(asked(`history?at=${asking}`));
    if (answer.ok && asking === wanted) show(await answer.json());
  });
  const again = () => refresh().catch(() => { find("past").hidden = true; });
  setInterval(again, REFRESH_MILLISECONDS);
  document.addEventListener("visibilitychange", again);
  again();
}
