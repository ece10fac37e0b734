// Compares two prompts of one trial, or of two on the same data: what differs, on which items each is correct, and the answers.
import { html, useMemo, useState } from "/assets/dom.js";
import { url } from "/assets/api.js";
import { go, jobAddress } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Diff } from "/assets/parts/diff.js";
import { Problem } from "/assets/parts/problem.js";
import { Items } from "/assets/parts/items.js";
import { TrialFrame, useTree, useTrial } from "/assets/parts/trialview.js";
import { Accuracy } from "/assets/parts/marks.js";
import { ExampleChanges, PromptText } from "/assets/parts/prompt.js";
import { operatorName, plural, share, short, signed } from "/assets/wording.js";

const MOST_OFFERED = 200;

export function View({ id, query }) {
  const found = useTrial(id, query);
  const { candidates, trial } = found;
  const rivals = found.trials.filter((one) => trial && one.task === trial.task && one.seed === trial.seed);
  const rival = rivals.find((one) => one.id === query.get("right_trial")) || trial;
  const foreign = useTree(id, rival !== trial ? rival?.id : null);
  const other = rival === trial ? found : foreign;
  const chosen = (side, tree) => tree.candidates.find((one) => one.id === query.get(side))?.id;
  const left = chosen("left", found) || (candidates.find((one) => one.operator === "seed") || candidates[0])?.id;
  const right = chosen("right", other) || other.best;
  const both = found.loaded && other.loaded && left && right;
  const { data, error } = useAnswer(both ? url(["optimizations", id, "comparison"], { left_trial: trial.id, right_trial: rival.id, left, right }) : null);
  const choose = (changed) => go(jobAddress(id, "compare", { trial: trial.id, right_trial: rival.id, left, right, ...changed }), true);
  const offeredLeft = useMemo(() => offer(candidates, [left, found.best]), [candidates, left, found.best]);
  const offeredRight = useMemo(() => offer(other.candidates, [right, other.best]), [other.candidates, right, other.best]);
  return html`<${TrialFrame} part="compare" title="Compare prompts" id=${id} found=${found}>
    ${found.loaded && !candidates.length && html`<p class="empty">No round is done yet.</p>`}
    ${both && html`<div class="pair choose">
      <${Choice} side="left" name="A" value=${left} offered=${offeredLeft} best=${found.best} choose=${(one) => choose({ left: one })} />
      <div><${Choice} side="right" name="B" value=${right} offered=${offeredRight} best=${other.best} choose=${(one) => choose({ right: one })} />
        ${rivals.length > 1 && html`<label for="right-trial">Trial (B)</label>
          <select id="right-trial" value=${rival.id} onChange=${(event) => choose({ right_trial: event.target.value, right: "" })}>
            ${rivals.map((one) => html`<option key=${one.id} value=${one.id}>${one.id} (${plural(one.candidates, "candidate")})</option>`)}</select>`}</div></div>`}
    ${error && html`<${Problem} error=${error} />`}
    ${both && !data && !error && html`<p class="quiet">Loading answers …</p>`}
    ${data && html`<${Compared} comparison=${data} />`}
  <//>`;
}

/** The best candidates, and the chosen ones. Racing measures many on a few items only: their accuracy cannot be compared with that of
 * the others, so they come last and without it. */
function offer(candidates, always) {
  const most = Math.max(0, ...candidates.map((one) => one.dev_items));
  const rank = (one) => (one.dev_items < most ? -1 : (one.dev_accuracy ?? -1));
  const ranked = candidates.toSorted((one, other) => rank(other) - rank(one)).slice(0, MOST_OFFERED);
  const missing = candidates.filter((one) => always.includes(one.id) && !ranked.includes(one));
  const offered = [...missing, ...ranked, ...candidates.filter((one) => one.operator === "seed" && !ranked.includes(one) && !missing.includes(one))];
  return offered.map((one) => ({ ...one, detail: one.dev_items < most ? `on ${one.dev_items} of ${most} dev items` : `dev ${share(one.dev_accuracy)} on ${plural(one.dev_items, "item")}` }));
}

function Choice({ side, name, value, offered, best, choose }) {
  const key = `side-${side}`;
  return html`<div><label for=${key}>${name}</label><select id=${key} value=${value} onChange=${(event) => choose(event.target.value)}>
    ${offered.map((one) => html`<option key=${one.id} value=${one.id}>${short(one.id)}${one.id === best ? " ★" : ""} · ${operatorName(one.operator)}, round ${one.round} · ${one.detail}</option>`)}</select></div>`;
}

function Compared({ comparison }) {
  const [whole, setWhole] = useState(false);
  const { left, right } = comparison;
  return html`<section class="card" aria-labelledby="score"><h2 id="score">Agreement</h2>
      ${comparison.splits.map((one) => html`<${Split} key=${one.split} split=${one} />`)}
      ${!comparison.splits.length && html`<p class="quiet">No item was answered under both prompts.</p>`}
      ${comparison.untested && html`<p class="quiet">The test split is not compared: ${UNTESTED[comparison.untested]} not tested. Only the baseline and each trial's best prompt are.</p>`}</section>
    <section class="card" aria-labelledby="words"><div class="title"><h2 id="words">The prompts</h2><span class="spring"></span>
      <button aria-pressed=${whole} onClick=${() => setWhole(!whole)}>${whole ? "As one text with changes" : "Side by side"}</button></div>
      ${whole ? html`<div class="pair"><div><h3>A</h3><${PromptText} text=${left.text} examples=${left.worked_examples} /></div><div><h3>B</h3><${PromptText} text=${right.text} examples=${right.worked_examples} /></div></div>`
        : html`<p class="quiet"><del>only in A</del> <ins>only in B</ins></p><${Diff} pieces=${comparison.diff} label="Changes from A to B" />
          <${ExampleChanges} examples=${against(left, right)} dropped=${against(right, left).filter((one) => one.new).length} />`}</section>
    <${Items} key=${`${left.trial} ${left.id} ${right.trial} ${right.id}`} items=${comparison.items} />`;
}

const UNTESTED = { left: "A was", right: "B was", both: "A and B were" };

/** The worked examples of `right`, marked as new where `left` does not have them. */
function against(left, right) {
  const known = new Set(left.worked_examples.map((one) => JSON.stringify([one.input, one.parts])));
  return right.worked_examples.map((one) => ({ ...one, new: !known.has(JSON.stringify([one.input, one.parts])) }));
}

/** One split: every figure is of the items that were answered under both. */
function Split({ split }) {
  const side = (name) => html`<${Accuracy} value=${split[`${name}_accuracy`]} low=${split[`${name}_low`]} high=${split[`${name}_high`]} kind=${split[`${name}_interval_kind`]} />`;
  const graded = split.lead_interval_kind === "bootstrap";
  return html`<section aria-label=${`On the ${split.split} split`}><h3>${split.split === "test" ? "Test" : "Dev"} split, ${plural(split.items, "item")} answered under both</h3>
    <dl class="figures"><div><dt>A, accuracy and 95 % interval</dt><dd>${side("left")}</dd></div><div><dt>B, accuracy and 95 % interval</dt><dd>${side("right")}</dd></div>
      <div><dt>A minus B, 95 % interval</dt><dd>${signed(split.lead)} ${split.lead_low !== null && html`<small>[${signed(split.lead_low)}, ${signed(split.lead_high)}]</small>`}</dd></div></dl>
    <${Tally} counts=${split.counts} graded=${graded} />
    ${graded && html`<p class="quiet">Scores are graded: accuracy is their mean, with bootstrap intervals and a paired permutation test.</p>`}
    <p>${split.verdict || html`<span class="quiet">Too few items for a test.</span>`}${split.split === "dev" && html` <span class="quiet">Prompts were selected on these items, so their accuracy is optimistic.</span>`}</p></section>`;
}

const SIDES = [["left", "only A correct"], ["both", "both correct"], ["neither", "neither correct"], ["right", "only B correct"], ["unknown", "not answered under both"]];
const GRADED_SIDES = [["left", "A scores higher"], ["both", "the same score"], ["neither", "both score 0"], ["right", "B scores higher"], ["unknown", "not answered under both"]];

function Tally({ counts, graded }) {
  const parts = (graded ? GRADED_SIDES : SIDES).filter(([key]) => counts[key]);
  return html`<div class="tally"><div class="stack tall" aria-hidden="true">${parts.map(([key]) => html`<i key=${key} class=${`won-${key}`} style=${{ flexGrow: counts[key] }}>${counts[key]}</i>`)}</div>
    <ul>${parts.map(([key, name]) => html`<li key=${key}><span class=${`dot won-${key}`} aria-hidden="true"></span>${name} <b>${counts[key]}</b></li>`)}</ul></div>`;
}
