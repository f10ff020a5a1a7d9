// SPDX-License-Identifier: GPL-2.0-only
// Elements of a drawing.

const SVG = "http://www.w3.org/2000/svg";

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** A new element; its text is text, never markup. */
export function drawn(name, className, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("class", className);
  set(made, attributes);
  if (text !== null) made.textContent = text;
  return made;
}
