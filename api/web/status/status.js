/** The queue page: looks at the figures once a second and draws what changed. */

import { Card } from "./card.js";
import { Bars, Chart } from "./chart.js";
import { duration, lagPercentile, number, rate, size } from "./figures.js";

/** @import { Figures } from "./figures.js" */

const LOOK_SECONDS = 1;
/** Points of a chart: two minutes. */
const KEPT = 120;
/** Percentiles are of the entries of this many seconds. */
const WINDOW = 30;

const state = element("state");
const flower = /** @type {HTMLAnchorElement} */ (element("flower"));
const form = /** @type {HTMLFormElement} */ (element("token"));

const cards = {
  backlog: new Card("Backlog", "accepted, not yet in PostgreSQL", new Chart(1, KEPT)),
  oldest: new Card("Oldest entry", "how long it has been waiting", new Chart(1, KEPT)),
  rates: new Card("Accepted | committed", "entries a second", new Chart(2, KEPT)),
  lag: new Card("Lag p50 | p99", `from accepted to committed, last ${WINDOW} s`, new Chart(2, KEPT)),
  partitions: new Card("Partitions", "backlog of each", new Bars()),
  dead: new Card("Dead letters", "entries that PostgreSQL refused, since this Redis counts", null),
  memory: new Card("Redis memory", "of what it may use; at 75 % nothing more is accepted", null),
  totals: new Card("Committed", "since this Redis counts", null),
};
element("cards").append(...Object.values(cards).map((card) => card.element));

/** @type {Figures[]} the last looks, oldest first */
let seen = [];
let token = "";

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = String(new FormData(form).get("token"));
  form.hidden = true;
  void look();
});

void look();

async function look() {
  try {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch("/status.json", { headers, cache: "no-store" });
    if (response.status === 401) return ask();
    if (!response.ok) throw new Error((await response.json()).detail);
    show(await response.json());
  } catch (error) {
    say("away", error instanceof TypeError ? "The server does not answer" : String(error));
  }
  setTimeout(look, LOOK_SECONDS * 1000);
}

function ask() {
  say("away", token ? "This token is not the right one" : "Figures are for this machine, or for who has the token");
  form.hidden = false;
}

/** @param {Figures} now */
function show(now) {
  const last = seen.at(-1);
  seen = [...seen, now].slice(-WINDOW);
  const first = seen[0] ?? now;
  say(now.is_open ? "open" : "away", now.is_open ? "The log is open" : "The log is closed: nothing is accepted");
  const { backlog, drained } = now;
  cards.backlog.show(`${number(backlog.entries)} · ${size(backlog.bytes)}`, [backlog.entries]);
  cards.oldest.show(duration(backlog.entries > 0 ? backlog.oldest_ms : null), [backlog.oldest_ms]);
  const accepted = last ? rate(last, now, (figures) => figures.accepted) : null;
  const committed = last ? rate(last, now, (figures) => figures.drained.committed) : null;
  cards.rates.show(`${number(accepted)} | ${number(committed)}`, [accepted, committed]);
  const [p50, p99] = [0.5, 0.99].map((part) => lagPercentile(first, now, part));
  cards.lag.show(`${duration(p50 ?? null)} | ${duration(p99 ?? null)}`, [p50 ?? null, p99 ?? null]);
  cards.dead.show(number(drained.dead_letters), []);
  cards.dead.warn(drained.dead_letters > 0);
  cards.memory.show(`${(now.redis_memory_ratio * 100).toFixed(1)} %`, []);
  cards.memory.warn(now.redis_memory_ratio > 0.7);
  const busy = backlog.partitions.filter((entries) => entries > 0).length;
  cards.partitions.show(`${busy} of ${backlog.partitions.length} busy`, backlog.partitions);
  const { batches, discarded, duplicates } = drained;
  cards.totals.show(number(drained.committed), []);
  cards.totals.explain(
    `in ${number(batches)} batches; ${number(discarded)} discarded, ${number(duplicates)} seen twice`,
  );
  flower.hidden = !now.flower;
  if (now.flower) flower.href = now.flower;
}

/**
 * @param {"open" | "away"} how
 * @param {string} words
 */
function say(how, words) {
  state.dataset["state"] = how;
  if (state.textContent !== words) state.textContent = words;
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
