// The service's API: requests with the key that this tab holds, downloads, and event streams that go on where they were cut.
import { EventSource } from "/assets/vendor.js";

const KEY = "promptray-key";

export const key = () => sessionStorage.getItem(KEY) || "";
export const setKey = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));
const authorization = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

export class ApiError extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function answer(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: { ...authorization(), ...options.headers } });
  } catch {
    throw new ApiError(0, "The service does not answer; it is tried again.", "unreachable");
  }
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({}));
  throw new ApiError(reply.status, said.error?.message || `The service answers ${reply.status}.`, said.error?.code);
}

export const get = async (path) => (await answer(path)).json();

export const post = async (path, body, headers = {}) =>
  (await answer(path, {
    method: "POST", body: body === undefined ? undefined : JSON.stringify(body),
    headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
  })).json();

export async function upload(file) {
  const form = new FormData();
  form.append("purpose", "optimize");
  form.append("file", file);
  return (await answer("/v1/files", { method: "POST", body: form })).json();
}

export const drop = async (path) => (await answer(path, { method: "DELETE" })).json();

export const query = (given) =>
  "?" + new URLSearchParams(Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== ""));

/** Saves what a path gives as a file, by the name that the service says. */
export async function download(path) {
  const reply = await answer(path);
  const said = reply.headers.get("Content-Disposition") || "";
  const name = /filename="([^"]+)"/.exec(said)?.[1] || path.split("?")[0].split("/").pop();
  const place = URL.createObjectURL(await reply.blob());
  const link = Object.assign(document.createElement("a"), { href: place, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(place), 10_000);
  return name;
}

const KINDS = [
  "job.queued", "job.started", "job.phase", "trial.started", "trial.round", "trial.better", "trial.paused", "trial.resumed",
  "trial.finished", "trial.failed", "budget.warning", "job.cancelling", "job.cancelled", "job.resumed", "job.failed", "job.succeeded"];

/** Calls `onEvent` for each event above `after`, until the returned function is called. It connects again by itself. */
export function follow(id, after, onEvent) {
  const stream = new EventSource(`/v1/optimizations/${encodeURIComponent(id)}/events${query({ stream: true, after })}`, {
    fetch: (place, options) => fetch(place, { ...options, headers: { ...options.headers, ...authorization() } }),
  });
  for (const kind of KINDS) stream.addEventListener(kind, (event) => onEvent(JSON.parse(event.data)));
  return () => stream.close();
}

export const job = (id) => `/v1/optimizations/${encodeURIComponent(id)}`;
