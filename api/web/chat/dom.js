/** Making elements. Text only ever becomes text: no HTML is parsed here. */

/**
 * Make an element. Attributes named `on…` are listeners; true sets an empty attribute, false and
 * null leave it out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | ((event: any) => unknown)>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** 24 by 24, drawn with lines. */
const SHAPES = {
  plus: ["M12 5v14", "M5 12h14"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h10"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  search: ["M11 4a7 7 0 1 0 0 14a7 7 0 0 0 0-14", "M20 20l-4-4"],
  more: ["M6 12h.01", "M12 12h.01", "M18 12h.01"],
  send: ["M12 19V5", "M6 11l6-6l6 6"],
  down: ["M12 5v14", "M6 13l6 6l6-6"],
  copy: ["M9 9h10v10h-10z", "M5 15V5h10"],
  pencil: ["M4 20l1-4L16 5l3 3L8 19z"],
  bin: ["M5 7h14", "M9 7V4h6v3", "M7 7l1 13h8l1-13"],
  person: ["M12 4a4 4 0 1 0 0 8a4 4 0 0 0 0-8", "M5 20c0-4 3-6 7-6s7 2 7 6"],
  leave: ["M14 4h5v16h-5", "M4 12h11", "M11 8l4 4l-4 4"],
  auto: ["M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16", "M12 4v16", "M12 8h6", "M12 12h8", "M12 16h6"],
  light: [
    "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8",
    "M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  ],
  dark: ["M20 14A8.5 8.5 0 1 1 10 4a7 7 0 0 0 10 10z"],
  keyboard: ["M3 7h18v11h-18z", "M7 11h.01", "M11 11h.01", "M15 11h.01", "M8 14.5h8"],
  back: ["M15 5l-7 7l7 7"],
  next: ["M9 5l7 7l-7 7"],
  thumbUp: ["M7 11l4-8a2 2 0 0 1 2 2v4h6l-2 10H7z", "M3 11h4v8H3z"],
  thumbDown: ["M7 13l4 8a2 2 0 0 0 2-2v-4h6l-2-10H7z", "M3 5h4v8H3z"],
  share: ["M12 15V4", "M8 8l4-4l4 4", "M5 13v7h14v-7"],
  archive: ["M4 5h16v4h-16z", "M6 9v10h12v-10", "M10 13h4"],
  select: ["M4 5h6v6h-6z", "M4 15h6v5h-6z", "M14 8l2 2l4-5", "M14 18h6"],
  pin: ["M9 4h6l-1 6l3 3v2h-10v-2l3-3z", "M12 15v5"],
  tag: ["M4 4h8l8 8l-8 8l-8-8z", "M8 8h.01"],
  clip: ["M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.5 3.5 0 0 1 5 5l-8.5 8.5a2 2 0 0 1-3-3L14 7"],
  page: ["M6 3h8l4 4v14h-12z", "M14 3v4h4", "M9 12h6", "M9 16h6"],
  retry: ["M20 12a8 8 0 1 1-2.5-5.8", "M20 3v5h-5"],
};

/** They point along the line, and turn round where it is read from right to left. */
const ALONG = new Set(["back", "next", "leave"]);

const SVG = "http://www.w3.org/2000/svg";

/** @param {keyof typeof SHAPES} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", ALONG.has(name) ? "icon along" : "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const shape of SHAPES[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", shape);
    svg.append(path);
  }
  return svg;
}

/**
 * A button with an icon; its label is read, and shown on hover.
 * @param {keyof typeof SHAPES} shape
 * @param {string} label
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {Record<string, string | boolean>} [attributes]
 */
export function iconButton(shape, label, onclick, attributes = {}) {
  const named = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return make("button", { ...named, ...attributes, onclick }, icon(shape));
}
