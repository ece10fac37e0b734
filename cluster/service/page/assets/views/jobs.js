// The list of jobs, with their live state.
import { html, useEffect, useState } from "/assets/vendor.js";
import { get, query } from "/assets/api.js";
import { accuracy, count, moment, plural } from "/assets/format.js";
import { Status, Table, Trouble } from "/assets/parts.js";

const EVERY_MS = 2000;
const STATUSES = ["", "queued", "running", "succeeded", "failed", "cancelled"];

export function Jobs() {
  const [status, setStatus] = useState("");
  const [limit, setLimit] = useState(50);
  const [page, setPage] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    document.title = "Jobs · promptray";
    let timer, over = false;
    const look = async () => {
      try {
        const found = await get(`/v1/optimizations${query({ limit, status })}`);
        if (over) return;
        setPage(found);
        setProblem(null);
      } catch (trouble) {
        if (!over) setProblem(trouble);
      }
      if (!over) timer = setTimeout(look, document.hidden ? 5 * EVERY_MS : EVERY_MS);
    };
    look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [status, limit]);
  return html`
    <div class="row"><h1>Jobs</h1><span class="push"></span>
      <label class="inline">Status <select value=${status} onChange=${(event) => setStatus(event.target.value)}>
        ${STATUSES.map((name) => html`<option value=${name}>${name || "all"}</option>`)}</select></label>
      <a class="button main" href="/new">New optimization</a></div>
    <${Trouble} problem=${problem} />
    ${page && !page.data.length ? html`<${Empty} filtered=${status !== ""} />` : null}
    ${page && page.data.length ? html`<${Table} rows=${page.data} rowKey=${(job) => job.id} caption="Jobs, the newest first" columns=${COLUMNS} />` : null}
    ${page?.has_more && limit < 100 ? html`<p><button onClick=${() => setLimit(100)}>Show more</button></p>` : null}
    ${page === null && !problem ? html`<p class="quiet">Loading …</p>` : null}`;
}

const Empty = ({ filtered }) => html`
  <div class="card empty"><h2>${filtered ? "No job has this status" : "No jobs yet"}</h2>
    <p>A job searches for a better prompt for your task and your target model, and tests what it has found.</p>
    <p><a class="button main" href="/new">Start one</a></p></div>`;

const COLUMNS = [
  { name: "name", title: "job", value: (job) => job.name, cell: (job) => html`
    <a href=${`/jobs/${encodeURIComponent(job.id)}`}>${job.name}</a>
    <span class="under">${job.request.tasks.map((task) => task.label || task.generated || task.file).join(", ")} ·${" "}
      ${job.request.strategies.map((strategy) => strategy.label || strategy.name).join(", ")}</span>` },
  { name: "status", title: "status", value: (job) => job.status, cell: (job) => html`
    <${Status} status=${job.status} position=${job.queue_position} />${job.paused ? html`<span class="under">paused: ${job.paused}</span>` : null}
    ${job.error ? html`<span class="under">${job.error.message}</span>` : null}` },
  { name: "trials", title: "trials", number: true, value: (job) => job.trials_done, cell: (job) => html`
    <span class="nowrap">${job.trials_done} of ${job.trials}</span>
    <progress max=${Math.max(1, job.trials)} value=${job.trials_done} aria-label=${`${job.trials_done} of ${plural(job.trials, "trial")}`}></progress>` },
  { name: "best", title: "best on dev", number: true, value: (job) => job.best_dev_accuracy, cell: (job) => accuracy(job.best_dev_accuracy) },
  { name: "calls", title: "calls", number: true, value: (job) => job.usage.target_calls + job.usage.optimizer_calls,
    cell: (job) => count(job.usage.target_calls + job.usage.optimizer_calls) },
  { name: "owner", title: "owner", value: (job) => job.owner, cell: (job) => job.owner },
  { name: "created", title: "created", value: (job) => job.created_at, cell: (job) => html`<span class="nowrap">${moment(job.created_at)}</span>` },
];
