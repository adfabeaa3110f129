/** The files of a message: images are shown small and open whole, texts are saved. */

import { icon, make } from "./dom.js";
import { size } from "../formats.js";
import { texts } from "../texts.js";

/** @import { Attachment } from "../model/wire.js" */

export class MessageFiles {
  element = make("ul", { class: "files", "aria-label": texts.files, hidden: true });
  #urlOf;
  /** What it was made from. */
  #shown = "";

  /** @param {(asset: string) => string} urlOf */
  constructor(urlOf) {
    this.#urlOf = urlOf;
  }

  /** @param {Attachment[]} files */
  show(files) {
    const wanted = files.map(({ id }) => id).join();
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    this.element.hidden = files.length === 0;
    this.element.replaceChildren(...files.map((file) => make("li", {}, this.#linkTo(file))));
  }

  /** @param {Attachment} file */
  #linkTo(file) {
    const href = this.#urlOf(file.id);
    const name = make("span", { class: "name", dir: "auto" }, file.name);
    if (!file.type.startsWith("image/")) {
      const bytes = make("span", { class: "size" }, size(file.size));
      return make("a", { class: "file", href, download: file.name }, icon("page"), name, bytes);
    }
    const image = make("img", { src: href, alt: file.name, loading: "lazy", decoding: "async" });
    const link = make("a", { class: "image", href, target: "_blank", rel: "noopener" }, image);
    image.addEventListener("error", () => {
      link.replaceWith(make("span", { class: "file" }, icon("page"), name, texts.fileGone));
    });
    return link;
  }
}
