// The estimate of a job: its cost at most, and its headroom.
import { html } from "/assets/dom.js";
import { count, lasting, money, plural, share } from "/assets/wording.js";

const HEADROOM = { true: ["good", "✓ headroom"], false: ["bad", "✗ low headroom"], null: ["", "headroom not checked"] };

const Headroom = ({ found }) => html`<span class=${`badge ${HEADROOM[found][0]}`}>${HEADROOM[found][1]}</span>`;

export function EstimateCard({ estimate }) {
  const figures = [["Trials", count(estimate.trials)], ["Target calls", count(estimate.target_calls)], ["Optimizer calls", count(estimate.optimizer_calls)],
    ["Tokens", count(estimate.tokens === null ? null : Math.round(estimate.tokens))], ["Money", money(estimate.money)], ["Time", lasting(estimate.wall_s)]];
  return html`<div class="estimate"><div class="title"><h2>At most</h2><${Headroom} found=${estimate.can_pay} /><span class="quiet">${estimate.measured ? "measured by a probe" : "assumed, not measured"}</span></div>
    <dl class="figures">${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl><p>${estimate.sentence}</p>
    <ul class="task-headroom">${estimate.tasks.map((task) => html`<li key=${task.task}><b>${task.task}</b> <${Headroom} found=${task.can_pay} /> ${task.sentence}
      <span class="quiet"> ${Object.entries(task.items).map(([split, items]) => plural(items, `${split} item`)).join(", ")}${task.seed_accuracy === null ? "" : ` · on the probed items: baseline ${share(task.seed_accuracy)}${task.ceiling === null ? "" : `, ceiling ${share(task.ceiling)}`}`}</span></li>`)}</ul></div>`;
}
