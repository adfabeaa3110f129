/** Work in slices: each frame has a budget for all work together, so that the page stays alive. */

/** No frame waits longer than this (in ms), but for the one step that is being done. */
const FRAME_MS = 25;
/** A page in the background has no frames. */
const WITHOUT_FRAMES_MS = 100;

export class Slices {
  /** @type {(() => boolean)[]} the newest last: it is done first, as it is what is looked at */
  #jobs = [];
  #usedMs = 0;
  #isAwaited = false;
  #nextFrame;

  /** @param {{clock?: () => number, nextFrame?: (run: () => void) => void}} [time] `clock` in ms */
  constructor({ clock = () => performance.now(), nextFrame = inNextFrame } = {}) {
    this.clock = clock;
    this.#nextFrame = nextFrame;
  }

  /**
   * Do a job: at once as far as this frame's budget goes, the rest in the next ones.
   * @param {() => boolean} step does a little of it, and returns whether there is more to do
   */
  now(step) {
    this.#add(step);
    this.#run();
  }

  /**
   * Do a job, beginning in the next frame. One that waits already is not added again.
   * @param {() => boolean} step as above
   */
  later(step) {
    this.#add(step);
    this.#await();
  }

  /** Wait until all work is done. */
  async idle() {
    while (this.#jobs.length) await new Promise((resolve) => this.#nextFrame(() => resolve(null)));
  }

  /** @param {() => boolean} step */
  #add(step) {
    this.#jobs = [...this.#jobs.filter((job) => job !== step), step];
  }

  #run() {
    while (this.#usedMs < FRAME_MS) {
      const step = this.#jobs.at(-1);
      if (!step) break;
      const start = this.clock();
      if (!step()) this.#jobs = this.#jobs.filter((job) => job !== step);
      this.#usedMs += this.clock() - start;
    }
    this.#await();
  }

  #await() {
    if (this.#isAwaited || (this.#jobs.length === 0 && this.#usedMs === 0)) return;
    this.#isAwaited = true;
    this.#nextFrame(() => {
      this.#isAwaited = false;
      this.#usedMs = 0;
      this.#run();
    });
  }
}

/** The work of the whole page. */
export const slices = new Slices();

/** @param {() => void} run */
function inNextFrame(run) {
  const once = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    run();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, WITHOUT_FRAMES_MS);
}
