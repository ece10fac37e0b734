// A job's events as they come: server-sent events read by fetch, as EventSource cannot send a key. A cut stream is continued.
import { createParser } from "/vendor/eventsource-parser/parse.js";
import { ApiError, request } from "/assets/api.js";

const WAIT_MS = [500, 1000, 2000, 5000, 10_000];

/** Calls `onEvent` for each event above `after`, `onState` with "live", "lost" or "over". Returns what stops it. */
export function follow(address, after, onEvent, onState) {
  const stopped = new AbortController();
  run(address, after, onEvent, onState, stopped.signal);
  return () => stopped.abort();
}

async function run(address, after, onEvent, onState, signal) {
  let last = after;
  let failures = 0;
  const onNew = (event) => {
    failures = 0;
    if (event.id <= last) return; // sent twice
    last = event.id;
    onEvent(event);
  };
  while (!signal.aborted) {
    try {
      const over = await listen(address, last, onNew, () => onState("live"), signal);
      if (over) return onState("over");
    } catch (problem) {
      if (signal.aborted) return;
      if (problem instanceof ApiError && problem.status >= 400 && problem.status < 500 && problem.status !== 429) {
        return onState("over"); // a repeated request would not help
      }
    }
    onState("lost");
    await pause(WAIT_MS[Math.min(failures++, WAIT_MS.length - 1)], signal);
  }
}

/** Reads one connection. Returns true if the service says that nothing more will come. */
async function listen(address, last, onEvent, onOpen, signal) {
  const headers = { Accept: "text/event-stream" };
  if (last) headers["Last-Event-ID"] = String(last);
  const answer = await request(address, { headers, signal, cache: "no-store" });
  if (answer.status === 204) return true;
  onOpen();
  const parser = createParser({ onEvent: (message) => parse(message, onEvent) });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    parser.feed(value);
  }
}

function parse(message, onEvent) {
  let event;
  try {
    event = JSON.parse(message.data);
  } catch {
    return; // half a message of a cut connection
  }
  onEvent(event);
}

function pause(ms, signal) {
  return new Promise((go) => {
    const timer = setTimeout(go, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), go()), { once: true });
  });
}
