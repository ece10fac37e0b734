// One candidate: its origin, the reason for it, and the word diff from its parent's prompt.
import { html } from "/assets/dom.js";
import { url } from "/assets/api.js";
import { Link, jobAddress } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Diff } from "/assets/parts/diff.js";
import { Problem } from "/assets/parts/problem.js";
import { ExampleChanges, PromptText } from "/assets/parts/prompt.js";
import { interval, operatorName, percent, plural, share, short, signed } from "/assets/wording.js";

export function CandidatePanel({ id, trial, candidate, best }) {
  const { data, error } = useAnswer(candidate ? url(["optimizations", id, "candidates", candidate], { trial }) : null);
  if (error) return html`<${Problem} error=${error} />`;
  if (!data) return html`<p class="quiet">${candidate ? "Loading …" : "Choose a candidate to see why it was made and what changed."}</p>`;
  const against = (other) => jobAddress(id, "compare", { trial, left: other, right: data.id });
  return html`<article aria-label=${`Candidate ${short(data.id)}`}>
    <div class="title"><h2>Candidate <code>${short(data.id)}</code></h2>${data.id === best && html`<span class="badge good">★ best</span>`}${!data.kept && html`<span class="badge">not kept</span>`}</div>
    <dl class="figures">
      <div><dt>Dev accuracy</dt><dd>${share(data.dev_accuracy)} <small>${data.dev_low !== null ? `[${interval(data.dev_low, data.dev_high)}] ` : ""}on ${plural(data.dev_items, "item")}${data.incomplete ? ", incomplete" : ""}</small></dd></div>
      <div><dt>Over its parent</dt><dd>${signed(data.gain)}${data.gain !== null && html` <small>${data.gain_low === null ? "" : `[${signed(data.gain_low)}, ${signed(data.gain_high)}] `}on ${plural(data.gain_items, "shared item")}</small>`}</dd></div>
      <div><dt>Steps followed</dt><dd>${percent(data.adherence)}</dd></div></dl>
    <p class="quiet">In brackets: 95 % intervals.</p>
    <p>${operatorName(data.operator)} in round ${data.round}${data.steps.length ? ` · ${plural(data.steps.length, "step")}` : ""}${data.demonstrations ? ` · ${plural(data.demonstrations, "demonstration")}` : ""}</p>
    <p class="buttons">${data.parent && html`<${Link} class="button" href=${against(data.parent)}>Compare with its parent<//>`}
      ${best && best !== data.id && html`<${Link} class="button" href=${against(best)}>Compare with the best<//>`}</p>
    ${data.failing_step && html`<h3>Failing step ${data.changed_step}</h3><p class="why">${data.failing_step}</p>`}
    ${data.reflection && html`<h3>Reason</h3><p class="why">${data.reflection}</p>`}
    <h3>${data.parent ? "Changed from its parent" : "Its prompt"}</h3>
    ${data.parent ? html`<${Diff} pieces=${data.diff} label="Changes from the parent" /><${ExampleChanges} examples=${data.worked_examples} dropped=${data.dropped_examples} />
      <details><summary>The whole prompt</summary><${PromptText} text=${data.text} examples=${data.worked_examples} /></details>`
      : html`<${PromptText} text=${data.text} examples=${data.worked_examples} />`}</article>`;
}
