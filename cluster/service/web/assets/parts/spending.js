// What a job has spent: against its limits, by purpose of a call, and the cached calls.
import { html } from "/assets/dom.js";
import { Meter, Shares } from "/assets/parts/marks.js";
import { count, money, percent } from "/assets/wording.js";

export function Spending({ job, trials }) {
  const { usage, request } = job;
  const calls = usage.target_calls + usage.optimizer_calls;
  const most = (limit) => (limit === null ? null : limit * job.trials);
  const purposes = Object.keys(usage.calls_by_purpose).length ? usage.calls_by_purpose : summed(trials);
  return html`<section class="card" aria-labelledby="spending"><h2 id="spending">Budget</h2>
    <${Meter} label="Target calls" value=${usage.target_calls} most=${most(request.budget.target_calls)} />
    <${Meter} label="Optimizer calls" value=${usage.optimizer_calls} most=${most(request.budget.optimizer_calls)} />
    ${usage.money !== null && html`<div class="meter"><span>Money</span><span class="figures">${money(usage.money)}</span></div>`}
    <div class="meter"><span>Cached calls (free)</span><span class="figures">${count(usage.ledger_hits)} · ${percent(calls ? usage.ledger_hits / calls : 0)}</span></div>
    ${usage.repeats > 0 && html`<div class="meter"><span>Repeats, answered by the trials themselves</span><span class="figures">${count(usage.repeats)}</span></div>`}
    <div class="meter"><span>Calls in flight</span><span class="figures">${count(job.in_flight)}</span></div>
    <h3>By purpose of the call</h3><${Shares} parts=${Object.entries(purposes).sort((one, other) => other[1] - one[1])} /></section>`;
}

function summed(trials) {
  const sums = {};
  for (const trial of trials) {
    for (const [name, calls] of Object.entries(trial.usage.calls_by_purpose)) sums[name] = (Object.hasOwn(sums, name) ? sums[name] : 0) + calls;
  }
  return sums;
}
