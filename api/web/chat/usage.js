/** What models took for one's answers: today, of what a day may take, and by day. */

import { make } from "./dom.js";
import { Section } from "./section.js";
import { fromNow, number, utcDay } from "../formats.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { Usage as Taken } from "../model/wire.js"
 */

export class Usage {
  #client;
  #today = make("p", {});
  #limit = make("p", { class: "list-hint" });
  #bar = make("meter", { min: 0, "aria-label": texts.usageOfLimit });
  #rows = make("tbody", {});
  #days;
  #section;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    const heads = [texts.day, texts.answers, texts.tokensIn, texts.tokensOut];
    const head = make("thead", {}, make("tr", {}, ...heads.map((words) => make("th", { scope: "col" }, words))));
    this.#days = make(
      "details",
      {},
      make("summary", {}, texts.usageByDay),
      make("table", { class: "usage" }, head, this.#rows),
    );
    this.#section = new Section(texts.usage, this.#today, this.#bar, this.#limit, this.#days);
    this.element = this.#section.element;
  }

  /** Show it as it is now. */
  async show() {
    this.#today.textContent = "";
    for (const part of [this.#limit, this.#bar, this.#days]) part.hidden = true;
    await this.#section.attempt(async () => this.#fill(await this.#client.usage()));
  }

  /** @param {Taken} usage */
  #fill({ days, limit }) {
    const day = new Date().toISOString().slice(0, 10);
    const today = days.find((one) => one.day === day) ?? { answers: 0, input_tokens: 0, output_tokens: 0 };
    const told = texts.usageToday(today.input_tokens + today.output_tokens, today.answers);
    this.#today.textContent = days.length ? told : texts.usageNone;
    this.#days.hidden = !days.length;
    this.#rows.replaceChildren(
      ...days.toReversed().map((one) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, utcDay(one.day)),
          ...[one.answers, one.input_tokens, one.output_tokens].map((count) => make("td", {}, number(count))),
        ),
      ),
    );
    this.#limit.hidden = this.#bar.hidden = limit === null;
    if (!limit) return;
    this.#bar.max = limit.tokens_per_day;
    this.#bar.value = limit.tokens_today;
    this.#limit.textContent = texts.usageLimit(limit.tokens_today, limit.tokens_per_day, fromNow(limit.seconds_left));
  }
}
