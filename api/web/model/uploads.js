/** Files on their way to the server, and those of messages. */

import { Problem, UNREACHED } from "./problem.js";

/** @import { Attachment, MessageRow } from "./wire.js" */

/** The server takes as many for one message. */
export const FILES_MOST = 10;
/** What it takes, as far as the choice of files can say so; it looks at the bytes. */
export const ACCEPTED = "image/png,image/jpeg,image/gif,image/webp,text/*,.md,.csv,.json,.log,.xml,.yaml,.yml";

/**
 * Send one file. Only XMLHttpRequest tells how far it is.
 * @param {string} url
 * @param {File} file
 * @param {(share: number) => void} progress from 0 to 1
 * @param {AbortSignal} signal
 * @returns {Promise<Attachment>}
 */
export function upload(url, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("error", () => reject(new Problem(UNREACHED, "not reached")));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("load", async () => {
      if (request.status === 201) {
        const { id, name, type, size } = JSON.parse(request.responseText);
        return resolve({ id, name, type, size });
      }
      const names = ["Content-Type", "Retry-After"];
      const told = names.map((name) => [name, request.getResponseHeader(name)]);
      const headers = /** @type {[string, string][]} */ (told.filter(([, value]) => value !== null));
      const { status, statusText, responseText } = request;
      reject(await Problem.of(new Response(responseText, { status, statusText, headers })));
    });
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

/**
 * The files that a stored message names. What its writer calls attachments otherwise is not ours.
 * @param {MessageRow} row
 * @returns {Attachment[]}
 */
export function attachmentsOf({ extra }) {
  const listed = extra?.attachments;
  return Array.isArray(listed) ? listed.filter(isOurs).slice(0, FILES_MOST) : [];
}

/** @param {any} one */
function isOurs(one) {
  return (
    typeof one?.id === "string" &&
    /^asset_[\w-]{43}$/.test(one.id) &&
    typeof one.name === "string" &&
    typeof one.type === "string" &&
    Number.isFinite(one.size)
  );
}
