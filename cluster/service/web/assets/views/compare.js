// Two prompts side by side, of one trial or of two on the same data: what differs, who wins where, and what the target model wrote on each item.
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
  return html`<${TrialFrame} part="compare" title="Two prompts, item by item" id=${id} found=${found}>
    ${found.loaded && !candidates.length && html`<p class="empty">No round is done yet.</p>`}
    ${both && html`<div class="pair choose">
      <${Choice} side="Left" value=${left} offered=${offeredLeft} best=${found.best} choose=${(one) => choose({ left: one })} />
      <div><${Choice} side="Right" value=${right} offered=${offeredRight} best=${other.best} choose=${(one) => choose({ right: one })} />
        ${rivals.length > 1 && html`<label for="right-trial">Trial of the right one</label>
          <select id="right-trial" value=${rival.id} onChange=${(event) => choose({ right_trial: event.target.value, right: "" })}>
            ${rivals.map((one) => html`<option key=${one.id} value=${one.id}>${one.id} (${plural(one.candidates, "candidate")})</option>`)}</select>`}</div></div>`}
    ${error && html`<${Problem} error=${error} />`}
    ${both && !data && !error && html`<p class="quiet">Reading the transcripts …</p>`}
    ${data && html`<${Compared} comparison=${data} />`}
  <//>`;
}

/** The best ones, and those that are chosen. A race measures many on a few items only: their figure is of other items than the others',
 * so they stand behind, and it is left out. */
function offer(candidates, always) {
  const most = Math.max(0, ...candidates.map((one) => one.dev_items));
  const rank = (one) => (one.dev_items < most ? -1 : (one.dev_accuracy ?? -1));
  const ranked = candidates.toSorted((one, other) => rank(other) - rank(one)).slice(0, MOST_OFFERED);
  const missing = candidates.filter((one) => always.includes(one.id) && !ranked.includes(one));
  const offered = [...missing, ...ranked, ...candidates.filter((one) => one.operator === "seed" && !ranked.includes(one) && !missing.includes(one))];
  return offered.map((one) => ({ ...one, told: one.dev_items < most ? `on ${one.dev_items} of ${most} dev items` : `dev ${share(one.dev_accuracy)} on ${plural(one.dev_items, "item")}` }));
}

function Choice({ side, value, offered, best, choose }) {
  const key = `side-${side.toLowerCase()}`;
  return html`<div><label for=${key}>${side}</label><select id=${key} value=${value} onChange=${(event) => choose(event.target.value)}>
    ${offered.map((one) => html`<option key=${one.id} value=${one.id}>${short(one.id)}${one.id === best ? " ★" : ""} · ${operatorName(one.operator)}, round ${one.round} · ${one.told}</option>`)}</select></div>`;
}

function Compared({ comparison }) {
  const [whole, setWhole] = useState(false);
  const { left, right } = comparison;
  return html`<section class="card" aria-labelledby="score"><h2 id="score">Who wins where</h2>
      ${comparison.splits.map((one) => html`<${Split} key=${one.split} split=${one} />`)}
      ${!comparison.splits.length && html`<p class="quiet">No item was answered under both, so nothing can be compared.</p>`}
      ${comparison.untested && html`<p class="quiet">The test split is not compared: ${UNTESTED[comparison.untested]} not asked there, as only the baseline and each trial's best prompt are.</p>`}</section>
    <section class="card" aria-labelledby="words"><div class="title"><h2 id="words">The prompts</h2><span class="spring"></span>
      <button aria-pressed=${whole} onClick=${() => setWhole(!whole)}>${whole ? "As one text with changes" : "Side by side"}</button></div>
      ${whole ? html`<div class="pair"><div><h3>Left</h3><${PromptText} text=${left.text} examples=${left.worked_examples} /></div><div><h3>Right</h3><${PromptText} text=${right.text} examples=${right.worked_examples} /></div></div>`
        : html`<p class="quiet"><del>only left</del> <ins>only right</ins></p><${Diff} pieces=${comparison.diff} label="Changes from left to right" />
          <${ExampleChanges} examples=${against(left, right)} dropped=${against(right, left).filter((one) => one.new).length} />`}</section>
    <${Items} key=${`${left.trial} ${left.id} ${right.trial} ${right.id}`} items=${comparison.items} />`;
}

const UNTESTED = { left: "the left one was", right: "the right one was", both: "both were" };

/** The right one's worked examples, new where the left one does not have them. */
function against(left, right) {
  const known = new Set(left.worked_examples.map((one) => JSON.stringify([one.input, one.parts])));
  return right.worked_examples.map((one) => ({ ...one, new: !known.has(JSON.stringify([one.input, one.parts])) }));
}

/** One split: every figure is of the same items, those that both have answered. */
function Split({ split }) {
  const side = (name) => html`<${Accuracy} value=${split[`${name}_accuracy`]} low=${split[`${name}_low`]} high=${split[`${name}_high`]} />`;
  return html`<section aria-label=${`On the ${split.split} split`}><h3>${split.split === "test" ? "Test" : "Dev"} split, ${plural(split.items, "item")} answered under both</h3>
    <dl class="figures"><div><dt>Left, accuracy and 95 % interval</dt><dd>${side("left")}</dd></div><div><dt>Right, accuracy and 95 % interval</dt><dd>${side("right")}</dd></div>
      <div><dt>Left less right, 95 % interval of the difference</dt><dd>${signed(split.lead)} ${split.lead_low !== null && html`<small>[${signed(split.lead_low)}, ${signed(split.lead_high)}]</small>`}</dd></div></dl>
    <${Tally} counts=${split.counts} />
    <p>${split.verdict || html`<span class="quiet">Too few items were measured under both to tell.</span>`}${split.split === "dev" && html` <span class="quiet">Prompts were chosen on these items, which flatters the chosen ones.</span>`}</p></section>`;
}

const SIDES = [["left", "left alone"], ["both", "both"], ["neither", "neither"], ["right", "right alone"], ["unknown", "not answered under both"]];

function Tally({ counts }) {
  const parts = SIDES.filter(([key]) => counts[key]);
  return html`<div class="tally"><div class="stack tall" aria-hidden="true">${parts.map(([key]) => html`<i key=${key} class=${`won-${key}`} style=${{ flexGrow: counts[key] }}>${counts[key]}</i>`)}</div>
    <ul>${parts.map(([key, name]) => html`<li key=${key}><span class=${`dot won-${key}`} aria-hidden="true"></span>${name} <b>${counts[key]}</b></li>`)}</ul></div>`;
}
