// The service's API as the page uses it. Knows the key (kept for this tab alone) and how errors look; knows no view.
const KEY = "promptray-key";
const keyListeners = new Set();

/** An answer that is an error, in the service's own sentence. Status 0: no answer came. */
export class ApiError extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const apiKey = () => sessionStorage.getItem(KEY) || "";

export function setApiKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  keyListeners.forEach((tell) => tell());
}

export function onApiKey(tell) {
  keyListeners.add(tell);
  return () => keyListeners.delete(tell);
}

/** The path of a thing: parts are escaped, empty query values left out. */
export function url(parts, query = {}) {
  const path = "/v1/" + parts.map(encodeURIComponent).join("/");
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return asked.length ? `${path}?${new URLSearchParams(asked)}` : path;
}

export async function request(address, options = {}) {
  const headers = new Headers(options.headers);
  if (apiKey()) headers.set("Authorization", `Bearer ${apiKey()}`);
  let answer;
  try {
    answer = await fetch(address, { ...options, headers });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError(0, "The service does not answer. Is it running?", "unreachable");
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

async function errorOf(answer) {
  const body = await answer.json().catch(() => null);
  const told = body && body.error;
  return new ApiError(answer.status, (told && told.message) || `The service answered ${answer.status}.`, told && told.code);
}

export const get = async (address, signal) => (await request(address, { signal })).json();

export async function post(address, body) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await request(address, { method: "POST", ...sent })).json();
}

export async function upload(file) {
  const form = new FormData();
  form.append("purpose", "optimize");
  form.append("file", file, file.name);
  return (await request(url(["files"]), { method: "POST", body: form })).json();
}

export const remove = async (address) => (await request(address, { method: "DELETE" })).json();

/** Saves an answer as a file. A plain link could not carry the key. */
export async function download(address, name) {
  const answer = await request(address);
  const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
  const place = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = place;
  link.download = named ? named[1] : name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(place), 30_000);
  return link.download;
}
