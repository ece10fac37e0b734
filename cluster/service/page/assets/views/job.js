// One job: its head, and the tab that the path names. Follows its events and asks anew for what they changed.
import { html, useEffect, useRef, useState } from "/assets/vendor.js";
import { follow, get, job as place, key, post } from "/assets/api.js";
import { accuracy, count, duration, moment, share, title } from "/assets/format.js";
import { Figure, Menu, Parts, Save, Status, Trouble } from "/assets/parts.js";
import { Curves } from "/assets/views/curves.js";
import { Trials } from "/assets/views/trials.js";
import { Lineage } from "/assets/views/lineage.js";
import { Compare } from "/assets/views/compare.js";
import { Events } from "/assets/views/events.js";

const EVERY_MS = 1500;
const OVER = new Set(["succeeded", "failed", "cancelled"]);
const TABS = [["", "Overview"], ["lineage", "Lineage"], ["compare", "Compare"], ["events", "Events"]];
const TOLD = new Set(["trial.better", "trial.finished", "trial.failed", "trial.paused", "budget.warning", "job.failed", "job.succeeded", "job.cancelled"]);

/** The job, its trials and its events, kept up to date until it is over. */
function useJob(id, say) {
  const [state, setState] = useState({ job: null, trials: [], events: [], problem: null });
  const asked = useRef(0);
  const update = (change) => setState((before) => ({ ...before, ...change }));
  const look = async (whole = true) => {
    const turn = ++asked.current;
    try {
      const [job, trials] = await Promise.all([get(place(id)), whole ? get(`${place(id)}/trials`) : null]);
      if (turn === asked.current) update({ job, problem: null, ...(trials && { trials: trials.data }) });
    } catch (problem) {
      update({ problem });
    }
  };
  const over = state.job && OVER.has(state.job.status);
  useEffect(() => {
    look();
  }, [id]);
  useEffect(() => {
    if (over !== false) return undefined;
    const timer = setInterval(() => look(false), EVERY_MS);
    return () => clearInterval(timer);
  }, [id, over]);
  useEffect(() => {
    if (state.job === null) return undefined;
    let events = state.events, timer = null;
    const later = () => {
      timer ||= setTimeout(() => {
        timer = null;
        update({ events });
        look();
      }, 400);
    };
    const first = Date.now() / 1000 - 5;
    const stop = follow(id, events.length ? events[events.length - 1].id : 0, (event) => {
      events = [...events, event];
      if (TOLD.has(event.kind) && event.created_at >= first) say(event.message);
      later();
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [id, state.job === null, over]);
  return { ...state, look };
}

export function Job({ id, tab, query, say }) {
  const { job, trials, events, problem, look } = useJob(id, say);
  useEffect(() => {
    document.title = `${job?.name || "Job"} · promptray`;
  }, [job?.name]);
  if (!job) return problem ? html`<${Trouble} problem=${problem} again=${look} />` : html`<p class="quiet">Loading …</p>`;
  const act = (name) => async () => {
    try {
      await post(`${place(id)}/${name}`);
      say(name === "cancel" ? "The job is being cancelled; every finished call is kept." : "The job goes on.");
    } catch (trouble) {
      say(trouble.message);
    }
    look();
  };
  const base = `/jobs/${encodeURIComponent(id)}`;
  return html`
    <p class="crumbs"><a href="/">Jobs</a> / ${job.name}</p>
    <div class="row head-row">
      <h1>${job.name} <${Status} status=${job.status} position=${job.queue_position} /></h1><span class="push"></span>
      ${["queued", "running"].includes(job.status) ? html`<button class="danger" onClick=${act("cancel")}>Cancel</button>` : null}
      ${["failed", "cancelled"].includes(job.status) ? html`<button class="main" onClick=${act("resume")}>Resume</button>` : null}
      <${Take} id=${id} job=${job} say=${say} />
    </div>
    ${job.description ? html`<p>${job.description}</p>` : null}
    ${job.paused ? html`<p class="note">Paused: ${job.paused}</p>` : null}
    ${job.error ? html`<p class="trouble">${job.error.message}</p>` : null}
    <${Trouble} problem=${problem} again=${look} />
    <nav class="tabs" aria-label="Parts of this job">${TABS.map(([name, label]) => html`
      <a href=${name ? `${base}/${name}` : base} aria-current=${tab === name ? "page" : null}>${label}</a>`)}</nav>
    ${tab === "lineage" ? html`<${Lineage} id=${id} trials=${trials} query=${query} running=${!OVER.has(job.status)} />`
    : tab === "compare" ? html`<${Compare} id=${id} trials=${trials} query=${query} />`
    : tab === "events" ? html`<${Events} events=${events} />`
    : html`<${Overview} job=${job} trials=${trials} events=${events} say=${say} />`}`;
}

function Overview({ job, trials, events, say }) {
  const calls = job.usage.target_calls + job.usage.optimizer_calls;
  const last = events[events.length - 1];
  return html`
    <dl class="figures">
      <${Figure} name="best on dev" value=${accuracy(job.best_dev_accuracy)} />
      <${Figure} name="trials done" value=${`${job.trials_done} of ${job.trials}`} />
      <${Figure} name="target calls" value=${count(job.usage.target_calls)} />
      <${Figure} name="optimizer calls" value=${count(job.usage.optimizer_calls)} />
      <${Figure} name="from the ledger" value=${calls ? share(job.usage.ledger_hits / calls) : "–"} />
      <${Figure} name="calls in flight" value=${count(job.in_flight)} />
      ${job.usage.money === null ? null : html`<${Figure} name="money" value=${job.usage.money.toFixed(2)} />`}
      <${Figure} name="time" value=${duration(job.finished_at && job.started_at ? job.finished_at - job.started_at : job.usage.wall_s)} />
    </dl>
    ${last && !OVER.has(job.status) ? html`<p class="quiet">Last: ${last.message}</p>` : null}
    <section aria-labelledby="curves"><h2 id="curves">Learning curves</h2><${Curves} trials=${trials} /></section>
    <section aria-labelledby="trials"><h2 id="trials">Trials</h2><${Trials} job=${job} trials=${trials} say=${say} /></section>
    <section aria-labelledby="budget"><h2 id="budget">Calls by purpose</h2>
      <${Parts} label="Calls by purpose" parts=${Object.entries(job.usage.calls_by_purpose)} /></section>
    <section aria-labelledby="about"><h2 id="about">About this job</h2>
      <dl class="about"><dt>id</dt><dd><code>${job.id}</code></dd><dt>owner</dt><dd>${job.owner}</dd>
        <dt>target model</dt><dd>${job.request.target}</dd><dt>optimizer model</dt><dd>${job.request.optimizer}</dd>
        <dt>strategies</dt><dd>${job.request.strategies.map((one) => title(one.label || one.name)).join(", ")}</dd>
        <dt>seeds</dt><dd>${job.request.seeds.join(", ")}</dd>
        <dt>created</dt><dd>${moment(job.created_at)}</dd><dt>started</dt><dd>${moment(job.started_at)}</dd>
        <dt>finished</dt><dd>${moment(job.finished_at)}</dd><dt>runs</dt><dd>${job.runs}</dd></dl></section>`;
}

const EXPORTS = [
  ["promptray", "Prompt, for promptray apply"], ["markdown", "Prompt, for reading"], ["openai", "As OpenAI messages"],
  ["dspy", "As a DSPy program's state"], ["mlflow", "As an MLflow prompt"]];
const TABLES = ["trials.parquet", "candidates.parquet", "costs.parquet", "settings.yaml"];

function Take({ id, job, say }) {
  const made = OVER.has(job.status);
  return html`
    <${Menu} label="Download">
      <p class="quiet">Best prompt</p>
      ${EXPORTS.map(([format, label]) => html`<${Save} path=${`${place(id)}/best?format=${format}`} onSaid=${say}>${label}<//>`)}
      ${made ? html`<p class="quiet">Results</p>
        ${key() ? html`<${Save} path=${`${place(id)}/report`} onSaid=${say}>Report<//>`
        : html`<a class="button" href=${`${place(id)}/report`} target="_blank" rel="noopener">Report (opens)</a>`}
        ${TABLES.map((name) => html`<${Save} path=${`${place(id)}/files/${name}`} onSaid=${say}>${name}<//>`)}` : null}
    <//>`;
}
