/**
 * What has to survive a reload, or the tab. Without storage (it is full, or forbidden) everything
 * works, and lives as long as the page. Never a token.
 */

class Store {
  #prefix;
  #area;

  /**
   * @param {string} prefix of all names of ours
   * @param {() => Storage} area which throws where it is forbidden
   */
  constructor(prefix, area) {
    this.#prefix = prefix;
    this.#area = area;
  }

  /**
   * @param {string} name
   * @returns {string | null}
   */
  read(name) {
    try {
      return this.#area().getItem(this.#prefix + name);
    } catch {
      return null;
    }
  }

  /**
   * @param {string} name
   * @param {string | null} text null or empty removes it
   */
  write(name, text) {
    try {
      if (text) this.#area().setItem(this.#prefix + name, text);
      else this.#area().removeItem(this.#prefix + name);
    } catch {
      // See above.
    }
  }

  /**
   * @param {string} [start]
   * @returns {string[]} the names that begin with it
   */
  names(start = "") {
    try {
      const all = Object.keys(this.#area()).filter((name) => name.startsWith(this.#prefix + start));
      return all.map((name) => name.slice(this.#prefix.length));
    } catch {
      return [];
    }
  }

  /**
   * Hear what another tab removes.
   * @param {(name: string) => void} heard
   * @param {AbortSignal} signal
   */
  whenRemoved(heard, signal) {
    /** @param {StorageEvent} event */
    const listener = ({ key, newValue }) => {
      if (key?.startsWith(this.#prefix) && newValue === null) heard(key.slice(this.#prefix.length));
    };
    addEventListener("storage", listener, { signal });
  }

  /** Leave nothing of ours behind. */
  clear() {
    for (const name of this.names()) this.write(name, null);
  }
}

/** This tab's alone, gone with it. */
export const ofTab = new Store("verbatim:", () => sessionStorage);

/** Of all tabs, until the user signs out. */
export const ofBrowser = new Store("verbatim.kept:", () => localStorage);

/** Of all who use this browser: theme and language, which are no secrets. Signing out leaves them. */
export const tastes = new Store("verbatim:", () => localStorage);
