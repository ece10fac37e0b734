// Two prompts side by side, item by item: who wins where, and how the target answered.
import { html, useEffect, useMemo, useState } from "/assets/vendor.js";
import { get, job as place, query as queryOf } from "/assets/api.js";
import { accuracy, leading, plainId, plural, title } from "/assets/format.js";
import { go } from "/assets/routing.js";
import { Diff, Trouble } from "/assets/parts.js";

const WINNERS = ["right", "left", "neither", "both", "unknown"];
const SAID = { left: "left wins", right: "right wins", both: "both right", neither: "both wrong", unknown: "not both known" };
const MOST_CHOICES = 100, MOST_ITEMS = 25;
const MARK = { followed: "✓", skipped: "–", wrong: "✗" };

export function Compare({ id, trials, query }) {
  const known = (name) => trials.find((trial) => trial.id === name);
  const fallback = leading(trials);
  const names = { left: known(query.left_trial || query.trial) || fallback, right: known(query.right_trial || query.trial) || fallback };
  const [trees, setTrees] = useState({});
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    for (const name of new Set([names.left?.id, names.right?.id])) {
      if (name && !trees[name]) {
        get(`${place(id)}/tree?trial=${encodeURIComponent(name)}`).then(
          (tree) => setTrees((before) => ({ ...before, [name]: tree })), setProblem);
      }
    }
  }, [names.left?.id, names.right?.id]);
  const left = chosenOf(trees[names.left?.id], query.left, "seed"), right = chosenOf(trees[names.right?.id], query.right, "best");
  useEffect(() => {
    if (!left || !right) return undefined;
    let over = false;
    setFound(null);
    get(`${place(id)}/comparison${queryOf({ left, right, left_trial: names.left.id, right_trial: names.right.id })}`).then(
      (answer) => over || (setFound(answer), setProblem(null)), (trouble) => over || setProblem(trouble));
    return () => { over = true; };
  }, [left, right, names.left?.id, names.right?.id]);
  if (!fallback) return html`<p class="quiet">No trial has started yet.</p>`;
  const move = (changes) => go(`/jobs/${encodeURIComponent(id)}/compare${queryOf({
    left_trial: names.left.id, right_trial: names.right.id, left, right, ...changes })}`, true);
  return html`
    <div class="sides">${["left", "right"].map((side) => html`
      <${Choice} side=${side} trials=${trials} trial=${names[side]} tree=${trees[names[side].id]} chosen=${side === "left" ? left : right} move=${move} />`)}</div>
    <${Trouble} problem=${problem} />
    ${found ? html`<${Verdict} found=${found} /><${Items} found=${found} />`
    : problem ? null : html`<p class="quiet">Reading what the target has answered …</p>`}`;
}

function chosenOf(tree, wanted, usual) {
  if (!tree || !tree.id.length) return null;
  if (tree.id.includes(wanted)) return wanted;
  return usual === "best" ? tree.best || tree.id[0] : tree.id[Math.max(0, tree.operator.indexOf("seed"))];
}

function Choice({ side, trials, trial, tree, chosen, move }) {
  const places = useMemo(() => (tree ? tree.id.map((_, at) => at).sort((one, other) =>
    (tree.dev_accuracy[other] ?? -1) - (tree.dev_accuracy[one] ?? -1)).slice(0, MOST_CHOICES) : []), [tree]);
  const own = tree ? tree.id.indexOf(chosen) : -1;
  const offered = own < 0 || places.includes(own) ? places : [own, ...places];
  const name = (at) => `${accuracy(tree.dev_accuracy[at])} · ${title(tree.operator[at])} · round ${tree.round[at]} · ${plainId(tree.id[at])}${tree.id[at] === tree.best ? " ★" : ""}`;
  return html`
    <fieldset class="card side"><legend>${side}</legend>
      <label>Trial <select value=${trial.id} onChange=${(event) => move({ [`${side}_trial`]: event.target.value, [side]: "" })}>
        ${trials.map((one) => html`<option value=${one.id}>${one.id}</option>`)}</select></label>
      <label>Prompt <select value=${chosen} onChange=${(event) => move({ [side]: event.target.value })}>
        ${offered.map((at) => html`<option value=${tree.id[at]}>${name(at)}</option>`)}</select></label>
    </fieldset>`;
}

const Verdict = ({ found }) => html`
  <section aria-labelledby="who"><h2 id="who">Who wins</h2>
    <p>${found.verdict || "Too few items have both answers for a verdict."}</p>
    <ul class="counts">${WINNERS.filter((winner) => found.counts[winner]).map((winner) => html`
      <li class=${`wins-${winner}`}><b>${found.counts[winner]}</b> ${SAID[winner]}</li>`)}</ul>
  </section>
  <section aria-labelledby="words"><h2 id="words">The two prompts</h2>
    <details open><summary>What changes from left to right</summary><${Diff} pieces=${found.diff} /></details></section>`;

function Items({ found }) {
  const [winner, setWinner] = useState("");
  const [shown, setShown] = useState(MOST_ITEMS);
  const items = useMemo(() => found.items.filter((item) => !winner || item.winner === winner)
    .sort((one, other) => WINNERS.indexOf(one.winner) - WINNERS.indexOf(other.winner)), [found, winner]);
  return html`
    <section aria-labelledby="items"><div class="row"><h2 id="items">Item by item</h2><span class="push"></span>
      <label class="inline">Show <select value=${winner} onChange=${(event) => setWinner(event.target.value)}><option value="">all</option>
        ${WINNERS.map((name) => html`<option value=${name}>${SAID[name]} (${found.counts[name] || 0})</option>`)}</select></label></div>
      <p class="quiet">${Object.entries(MARK).map(([state, mark]) => html`<span class=${`state is-${state}`}><span aria-hidden="true">${mark}</span> ${state}</span> `)}</p>
      ${items.slice(0, shown).map((item, at) => html`<${Item} key=${`${item.split}/${item.id}`} item=${item} open=${at < 2} />`)}
      ${items.length > shown ? html`<button onClick=${() => setShown(shown + MOST_ITEMS)}>Show more of ${plural(items.length, "item")}</button>` : null}
      ${items.length ? null : html`<p class="quiet">None.</p>`}
    </section>`;
}

const Item = ({ item, open }) => html`
  <details class=${`item wins-${item.winner}`} open=${open}>
    <summary><span class="who">${SAID[item.winner]}</span> <span class="clip">${item.input}</span> <span class="quiet">${item.split}</span></summary>
    <p class="lines input">${item.input}</p><p>Right answer: <b>${item.answers.join(" / ")}</b></p>
    <div class="sides"><${Said} side="left" said=${item.left} /><${Said} side="right" said=${item.right} /></div>
  </details>`;

function Said({ side, said }) {
  if (said.text === null) return html`<div class="said-by"><h3>${side}</h3><p class="quiet">Not asked, or no answer came.</p></div>`;
  return html`
    <div class="said-by"><h3>${side}: ${said.verdict}</h3>
      ${said.steps.length ? html`<ol class="steps">${said.steps.map((step) => html`
        <li class=${`is-${step.state}`}><span class="mark"><span aria-hidden="true">${MARK[step.state]}</span><span class="unseen">${step.state}: </span></span>
          <span><span class="quiet">${step.step}</span><br /><span class="lines">${step.said || "(skipped)"}</span></span></li>`)}</ol>
        <details><summary>The whole response</summary><p class="lines">${said.text}</p></details>`
      : html`<p class="lines">${said.text}</p>`}
    </div>`;
}
