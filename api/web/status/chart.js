/** A small chart of the last minutes: lines that move to the left. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 64;

export class Chart {
  element = shape("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    class: "chart",
    "aria-hidden": "true", // the figures above it say the same
  });
  #lines;
  #most;
  /** @type {(number | null)[][]} */
  #values;

  /**
   * @param {number} lines
   * @param {number} most points that are kept
   */
  constructor(lines, most) {
    this.#most = most;
    this.#values = Array.from({ length: lines }, () => []);
    this.#lines = this.#values.map((_, index) => shape("path", { class: `line line-${index}` }));
    this.element.append(...this.#lines);
  }

  /** @param {(number | null)[]} values one for each line; null leaves a gap */
  add(values) {
    for (const [index, value] of values.entries()) {
      const line = this.#values[index];
      line?.push(value);
      if (line && line.length > this.#most) line.shift();
    }
    const highest = Math.max(1, ...this.#values.flat().map((value) => value ?? 0));
    for (const [index, line] of this.#lines.entries()) {
      line.setAttribute("d", this.#path(this.#values[index] ?? [], highest));
    }
  }

  /**
   * @param {(number | null)[]} values
   * @param {number} highest
   */
  #path(values, highest) {
    const step = WIDTH / (this.#most - 1);
    const start = WIDTH - (values.length - 1) * step;
    let path = "";
    let isDrawing = false;
    for (const [index, value] of values.entries()) {
      if (value !== null) {
        const y = HEIGHT - 2 - (value / highest) * (HEIGHT - 4);
        path += `${isDrawing ? "L" : "M"}${(start + index * step).toFixed(1)} ${y.toFixed(1)}`;
      }
      isDrawing = value !== null;
    }
    return path;
  }
}

/** One bar for each partition. */
export class Bars {
  element = shape("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    class: "chart",
    "aria-hidden": "true",
  });

  /** @param {number[]} values */
  show(values) {
    const highest = Math.max(1, ...values);
    const step = WIDTH / values.length;
    this.element.replaceChildren(
      ...values.map((value, index) => {
        const height = Math.max((value / highest) * (HEIGHT - 2), 1);
        return shape("rect", {
          class: "bar",
          x: String(index * step + 2),
          y: String(HEIGHT - height),
          width: String(step - 4),
          height: String(height),
        });
      }),
    );
  }
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 */
function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
