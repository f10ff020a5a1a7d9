// SPDX-License-Identifier: GPL-2.0-only
// The page as it is now, as one file that needs nothing else: without scripts, with its style inside.

async function style() {
  const sheet = document.querySelector("link[rel=stylesheet]");
  return (await fetch(sheet.href)).text();
}

/** Offer the page as a download. */
export async function save() {
  const copy = document.documentElement.cloneNode(true);
  copy.querySelectorAll("button.name").forEach((name) => name.replaceWith(name.textContent));
  copy.querySelector("#lanes").dataset.step = "6";
  copy.querySelectorAll("script, link, noscript, button, #tip, #past, input[type=search]").forEach((each) => each.remove());
  const inside = document.createElement("style");
  inside.textContent = await style();
  copy.querySelector("head").append(inside);
  // Sizes in pixels: the picture was drawn for this width.
  document.querySelectorAll("svg.plot").forEach((svg, number) => {
    const { width, height } = svg.getBoundingClientRect();
    copy.querySelectorAll("svg.plot")[number].setAttribute("viewBox", `0 0 ${width} ${height}`);
  });
  const when = new Date().toISOString().slice(0, 19).replace(/:/g, "-");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["<!doctype html>\n", copy.outerHTML], { type: "text/html" }));
  link.download = `fdscope-${when}.html`;
  link.click();
  URL.revokeObjectURL(link.href);
}
