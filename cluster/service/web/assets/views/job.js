// A job: its status, learning curves, trials, spending and events. Follows its events while it runs.
import { html, useEffect, useMemo, useRef, useState } from "/assets/dom.js";
import { url } from "/assets/api.js";
import { follow } from "/assets/stream.js";
import { announce } from "/assets/frame.js";
import { useAnswer, useThrottled } from "/assets/parts/loading.js";
import { Problem } from "/assets/parts/problem.js";
import { JobHead } from "/assets/parts/jobhead.js";
import { Log } from "/assets/parts/log.js";
import { Spending } from "/assets/parts/spending.js";
import { BestPrompts } from "/assets/parts/best_prompts.js";
import { Trials } from "/assets/parts/trials.js";
import { Curves, HUES } from "/assets/parts/curves.js";
import { OVER } from "/assets/wording.js";

const RELOAD_MS = 700;
const SHOW_MS = 100;
const SPOKEN = new Set(["trial.better", "trial.finished", "trial.failed", "job.started", "job.cancelled", "job.failed", "job.succeeded", "budget.warning"]);

export function View({ id }) {
  const job = useAnswer(url(["optimizations", id]), 5000, (one) => !one || !OVER.includes(one.status));
  const trials = useAnswer(url(["optimizations", id, "trials"]));
  const ready = (trials.data?.data || []).some((trial) => trial.best);
  const bests = useAnswer(ready ? url(["optimizations", id, "best", "tasks"]) : null);
  const reload = useThrottled(() => (job.reload(), trials.reload(), bests.reload()), RELOAD_MS);
  const [events, connection] = useEvents(id, job.data, reload);
  useEffect(() => (document.title = `${job.data?.name || "Job"} · promptray`), [job.data?.name]);
  const drawn = useMemo(() => withMarks(trials.data?.data || []), [trials.data]);
  if (job.error && !job.data) return html`<h1 tabindex="-1">Job</h1><${Problem} error=${job.error} />`;
  if (!job.data) return html`<p class="quiet">Loading …</p>`;
  return html`<${JobHead} job=${job.data} part="" reload=${reload} connection=${connection} />
    ${(job.error || trials.error) && html`<${Problem} error=${job.error || trials.error} />`}
    <div class="columns"><${CurveGrid} trials=${drawn} /><${BestPrompts} job=${job.data} bests=${bests.data?.data || []} /></div>
    <${Trials} job=${job.data} trials=${drawn} winners=${(bests.data?.data || []).map((one) => one.trial)} />
    <div class="columns even"><${Spending} job=${job.data} trials=${drawn} /><${Log} events=${events} connection=${connection} /></div>`;
}

/** The events so far, the oldest first, and the state of their connection: "live", "lost", "over" or "". */
function useEvents(id, job, reload) {
  const [events, setEvents] = useState([]);
  const [connection, setConnection] = useState("");
  const run = job ? job.runs : null;
  const open = Boolean(job) && !(OVER.includes(job.status) && (events.at(-1)?.id || 0) >= job.last_event);
  const old = useRef(null);
  if (job && old.current === null) old.current = job.last_event;
  const received = useRef([]);
  const show = useThrottled(() => setEvents([...received.current]), SHOW_MS);
  useEffect(() => {
    if (!open) return undefined;
    const onEvent = (event) => {
      received.current.push(event);
      show();
      if (event.id <= old.current) return; // it happened before the page was opened
      if (SPOKEN.has(event.kind)) announce(event.message);
      reload();
    };
    return follow(url(["optimizations", id, "events"]), received.current.at(-1)?.id || 0, onEvent, setConnection);
  }, [id, open, run]);
  return [events, open ? connection : "over"];
}

/** Each strategy has a hue, each seed of it a dash. */
function withMarks(trials) {
  const strategies = [...new Set(trials.map((trial) => trial.strategy))];
  const seeds = [...new Set(trials.map((trial) => trial.seed))];
  const searched = new Set(trials.map((trial) => `${trial.task} ${trial.strategy} ${trial.seed}`)).size < trials.length;
  return trials.map((trial) => ({
    ...trial, hue: strategies.indexOf(trial.strategy) % HUES, dash: seeds.indexOf(trial.seed) % 4,
    name: searched ? trial.id : seeds.length > 1 ? `${trial.strategy}, seed ${trial.seed}` : trial.strategy,
  }));
}

function CurveGrid({ trials }) {
  const [byCalls, setByCalls] = useState(false);
  const tasks = useMemo(() => Map.groupBy(trials, (trial) => trial.task), [trials]);
  const counted = trials.some((trial) => trial.curve.some((point) => point.target_calls));
  return html`<section class="card" aria-labelledby="curves"><div class="title"><h2 id="curves">Learning curves</h2>
      <span class="quiet">Best prompt on the dev split, with its 95 % interval; beside a name, after the last round.</span><span class="spring"></span>
      ${counted && html`<label class="inline"><input type="checkbox" checked=${byCalls} onChange=${() => setByCalls(!byCalls)} /> by target calls</label>`}</div>
    <div class="curve-grid">${[...tasks].map(([task, its]) => html`<${Curves} key=${task} title=${task} trials=${its} byCalls=${byCalls && counted} />`)}</div>
    ${!trials.length && html`<p class="empty">No trial has started yet.</p>`}</section>`;
}
