// The items of a comparison: who is right on each, and both transcripts with their steps marked by sign, word and colour.
import { html, useState } from "/assets/dom.js";
import { share } from "/assets/wording.js";

const AT_ONCE = 60;
const WINNERS = [["", "All"], ["left", "Left wins"], ["right", "Right wins"], ["both", "Both right"], ["neither", "Neither"], ["unknown", "Not measured"]];
const STEP = { followed: ["✓", "followed"], skipped: ["○", "skipped"], wrong: ["✗", "wrong"] };

export function Items({ items, counts }) {
  const [winner, setWinner] = useState("");
  const [shown, setShown] = useState(AT_ONCE);
  const wanted = winner ? items.filter((item) => item.winner === winner) : items;
  return html`<section class="card" aria-labelledby="items"><div class="title"><h2 id="items">Items</h2><span class="spring"></span>
      <div class="chips" role="group" aria-label="Show items">${WINNERS.filter(([key]) => !key || counts[key]).map(([key, name]) => html`
        <button key=${key} aria-pressed=${winner === key} onClick=${() => (setWinner(key), setShown(AT_ONCE))}>${name} <b>${key ? counts[key] : items.length}</b></button>`)}</div></div>
    <div class="items">${wanted.slice(0, shown).map((item) => html`<${Item} key=${`${item.split} ${item.id}`} item=${item} />`)}</div>
    ${wanted.length > shown && html`<p><button onClick=${() => setShown(shown + AT_ONCE)}>More (${wanted.length - shown})</button></p>`}</section>`;
}

function Item({ item }) {
  const [open, setOpen] = useState(false);
  const first = item.input.split("\n").find((line) => line.trim()) || item.id;
  return html`<details class="item" onToggle=${(event) => setOpen(event.target.open)}>
    <summary><${Mark} side="left" response=${item.left} /><span class="clip">${first}</span><${Mark} side="right" response=${item.right} /></summary>
    ${open && html`<div class="item-body"><p class="quiet">${item.split} split · ${item.id} · right answer <b>${item.answers.join(" | ") || "unknown"}</b></p>
      <div class="words">${item.input}</div>
      <div class="pair"><${Side} name="Left" response=${item.left} /><${Side} name="Right" response=${item.right} /></div></div>`}</details>`;
}

function Mark({ side, response }) {
  const { score } = response;
  const [sign, name, tone] = score === null ? ["–", "not measured", ""] : score >= 1 ? ["✓", "right", "good"] : score > 0 ? ["◐", share(score), "note"] : ["✗", "wrong", "bad"];
  return html`<span class=${`mark ${tone}`}><span aria-hidden="true">${sign}</span> <span class="unseen">${side} </span>${name}</span>`;
}

function Side({ name, response }) {
  return html`<section aria-label=${`${name} transcript`}><h3>${name}: ${response.verdict || "not measured"}</h3>
    ${response.steps.length > 0 && html`<ol class="steps">${response.steps.map((step) => html`<li key=${step.number} class=${`step ${step.state}`}>
      <p><span class="step-state"><span aria-hidden="true">${STEP[step.state][0]}</span> ${STEP[step.state][1]}</span> <span class="quiet">${step.step}</span></p>
      ${step.said && html`<p class="pre said">${step.said}</p>`}</li>`)}</ol>`}
    ${response.text === null ? html`<p class="quiet">No transcript: the question was not asked, or no answer came.</p>`
      : html`<details open=${!response.steps.length}><summary>Whole response</summary><div class="words">${response.text}</div></details>`}</section>`;
}
