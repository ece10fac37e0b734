// The service's API as the page uses it. Knows the key, which is stored in this tab only, and the form of errors; knows no view.
const KEY = "promptray-key";
const keyListeners = new Set();

/** An error answer, with the service's own message. Status 0: no answer came. */
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
  keyListeners.forEach((listener) => listener());
}

/** Calls `listener` whenever the key changes. Returns what stops it. */
export function onApiKey(listener) {
  keyListeners.add(listener);
  return () => keyListeners.delete(listener);
}

/** The address of a resource: parts are escaped, empty query values left out. */
export function url(parts, query = {}) {
  const path = "/v1/" + parts.map(encodeURIComponent).join("/");
  const params = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return params.length ? `${path}?${new URLSearchParams(params)}` : path;
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
  const error = body && body.error;
  return new ApiError(answer.status, (error && error.message) || `The service answered ${answer.status}.`, error && error.code);
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

/** Saves an answer as a file; a plain link could not send the key. */
export async function download(address, name) {
  const answer = await request(address);
  const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
  const blobUrl = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = blobUrl;
  link.download = named ? named[1] : name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(blobUrl), 30_000);
  return link.download;
}
