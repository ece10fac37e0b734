// The trials of a job: what each was, how far it is, and its verdict.
import { html } from "/assets/vendor.js";
import { job as place } from "/assets/api.js";
import { accuracy, count, interval, share, signed, title } from "/assets/format.js";
import { Menu, Save, Status, Table } from "/assets/parts.js";

export function Trials({ job, trials, say }) {
  if (!trials.length) return html`<p class="quiet">None has started yet.</p>`;
  const tasks = new Set(trials.map((trial) => trial.task));
  const columns = COLUMNS.filter(({ name }) => name !== "task" || tasks.size > 1);
  return html`<${Table} caption="Trials of this job" rows=${trials} rowKey=${(trial) => trial.id} most=${100}
    columns=${[...columns, { name: "take", title: "", cell: (trial) => html`<${Take} job=${job} trial=${trial} say=${say} />` }]} />`;
}

const curve = (trial) => trial.curve[trial.curve.length - 1];
const gain = (trial) =>
  trial.test_accuracy === null || trial.seed_prompt_test_accuracy === null ? null : trial.test_accuracy - trial.seed_prompt_test_accuracy;
const calls = (trial) => trial.usage.target_calls + trial.usage.optimizer_calls;

const COLUMNS = [
  { name: "strategy", title: "strategy", value: (trial) => trial.strategy, cell: (trial) => html`
    ${title(trial.strategy)} <span class="quiet">seed ${trial.seed}</span>
    ${Object.keys(trial.settings).length ? html`<span class="under">${Object.entries(trial.settings).map(([name, value]) => `${name} ${value}`).join(", ")}</span>` : null}` },
  { name: "task", title: "task", value: (trial) => trial.task, cell: (trial) => trial.task },
  { name: "status", title: "status", value: (trial) => trial.status, cell: (trial) => html`<${Status} status=${trial.status} />
    ${trial.error ? html`<span class="under">${trial.error}</span>` : null}` },
  { name: "round", title: "round", number: true, value: (trial) => curve(trial)?.round, cell: (trial) => curve(trial)?.round ?? "–" },
  { name: "dev", title: "dev", number: true, value: (trial) => curve(trial)?.dev_accuracy, cell: (trial) => accuracy(curve(trial)?.dev_accuracy) },
  { name: "before", title: "seed prompt, test", number: true, value: (trial) => trial.seed_prompt_test_accuracy, cell: (trial) => accuracy(trial.seed_prompt_test_accuracy) },
  { name: "test", title: "best prompt, test", number: true, value: (trial) => trial.test_accuracy, cell: (trial) => html`
    <b>${accuracy(trial.test_accuracy)}</b> <span class="quiet nowrap">${interval(trial.test_low, trial.test_high)}</span>` },
  { name: "gain", title: "gain", number: true, value: gain, cell: (trial) => signed(gain(trial)) },
  { name: "verdict", title: "verdict", value: (trial) => trial.verdict, cell: (trial) => html`<span class=${`verdict is-${trial.verdict.replaceAll(" ", "-")}`}>${trial.verdict}</span>` },
  { name: "calls", title: "calls", number: true, value: calls, cell: (trial) => count(calls(trial)) },
  { name: "ledger", title: "ledger", number: true, value: (trial) => (calls(trial) ? trial.usage.ledger_hits / calls(trial) : null),
    cell: (trial) => share(calls(trial) ? trial.usage.ledger_hits / calls(trial) : null) },
];

function Take({ job, trial, say }) {
  const of = `trial=${encodeURIComponent(trial.id)}`;
  const base = `/jobs/${encodeURIComponent(job.id)}`;
  return html`
    <${Menu} label=${html`<span aria-hidden="true">⋯</span><span class="unseen">More about ${trial.id}</span>`}>
      <a class="button" href=${`${base}/lineage?${of}`}>Lineage</a>
      ${trial.best ? html`<a class="button" href=${`${base}/compare?${of}&right=${trial.best}`}>Compare with its first prompt</a>
        <${Save} path=${`${place(job.id)}/best?${of}&format=promptray`} onSaid=${say}>Save its best prompt<//>` : null}
    <//>`;
}
