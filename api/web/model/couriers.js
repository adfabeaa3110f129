/** Send what waits in conversations that are not open: the page said that it will be sent. */

import { isSamePlace } from "./outbox.js";
import { Thread } from "./thread.js";

/**
 * @import { Client } from "./client.js"
 * @import { Outbox, Place } from "./outbox.js"
 */

/** Events: `opened` when a new conversation got its id, `news` when something was sent; `detail`: the thread. */
export class Couriers extends EventTarget {
  #client;
  #outbox;
  /** @type {Thread[]} */
  #threads = [];

  /**
   * @param {Client} client
   * @param {Outbox} outbox
   */
  constructor(client, outbox) {
    super();
    this.#client = client;
    this.#outbox = outbox;
  }

  /**
   * Send whatever waits elsewhere; the open conversation sends its own.
   * @param {Place} here
   */
  send(here) {
    this.#leave((thread) => isSamePlace(placeOf(thread), here));
    for (const place of this.#outbox.waiting) {
      const isUnderWay = [here, ...this.#threads.map(placeOf)].some((other) => isSamePlace(place, other));
      if (!isUnderWay) this.#deliver(place);
    }
  }

  /** Try at once what waits. */
  wake() {
    for (const thread of this.#threads) thread.wake();
  }

  /** It is all still kept. */
  close() {
    this.#leave(() => true);
  }

  /** @param {(thread: Thread) => boolean} isOver */
  #leave(isOver) {
    for (const thread of this.#threads.filter(isOver)) thread.close();
    this.#threads = this.#threads.filter((thread) => !isOver(thread));
  }

  /** @param {Place} place */
  #deliver(place) {
    const thread = new Thread(this.#client, this.#outbox, place);
    for (const name of ["opened", "news"]) {
      thread.addEventListener(name, () => this.dispatchEvent(new CustomEvent(name, { detail: thread })));
    }
    thread.addEventListener("delivered", () => this.#leave((other) => other === thread));
    this.#threads.push(thread);
    thread.deliver();
  }
}

/** @param {Thread} thread */
function placeOf({ id, opening }) {
  return { conversation: id, opening };
}
