// The items of a comparison: which prompt is correct on each, and both answers with their steps marked.
import { html, useState } from "/assets/dom.js";
import { share } from "/assets/wording.js";

const AT_ONCE = 60;
const WINNERS = [["", "All"], ["left", "Only A correct"], ["right", "Only B correct"], ["both", "Both correct"], ["neither", "Neither"], ["unknown", "Not measured"]];
const STEP = { followed: ["✓", "followed"], skipped: ["○", "skipped"], wrong: ["✗", "wrong"] };

/** The items of one split at a time, the test split first. */
export function Items({ items }) {
  const splits = ["test", "dev"].filter((name) => items.some((item) => item.split === name));
  const [chosen, setSplit] = useState(splits[0]);
  const split = splits.includes(chosen) ? chosen : splits[0];
  const [winner, setWinner] = useState("");
  const [shown, setShown] = useState(AT_ONCE);
  const own = items.filter((item) => item.split === split);
  const counts = Object.fromEntries(WINNERS.map(([key]) => [key, own.filter((item) => item.winner === key).length]));
  const wanted = winner ? own.filter((item) => item.winner === winner) : own;
  return html`<section class="card" aria-labelledby="items"><div class="title"><h2 id="items">Items</h2>
      ${splits.length > 1 && html`<div class="chips" role="group" aria-label="Split">${splits.map((name) => html`
        <button key=${name} aria-pressed=${split === name} onClick=${() => (setSplit(name), setWinner(""), setShown(AT_ONCE))}>${name === "test" ? "Test" : "Dev"} split</button>`)}</div>`}
      <span class="spring"></span>
      <div class="chips" role="group" aria-label="Show items">${WINNERS.filter(([key]) => !key || counts[key]).map(([key, name]) => html`
        <button key=${key} aria-pressed=${winner === key} onClick=${() => (setWinner(key), setShown(AT_ONCE))}>${name} <b>${key ? counts[key] : own.length}</b></button>`)}</div></div>
    <div class="items">${wanted.slice(0, shown).map((item) => html`<${Item} key=${`${item.split} ${item.id}`} item=${item} />`)}</div>
    ${wanted.length > shown && html`<p><button onClick=${() => setShown(shown + AT_ONCE)}>More (${wanted.length - shown})</button></p>`}</section>`;
}

function Item({ item }) {
  const [open, setOpen] = useState(false);
  const first = item.input.split("\n").find((line) => line.trim()) || item.id;
  return html`<details class="item" onToggle=${(event) => setOpen(event.target.open)}>
    <summary><${Mark} side="A" response=${item.left} /><span class="clip">${first}</span><${Mark} side="B" response=${item.right} /></summary>
    ${open && html`<div class="item-body"><p class="quiet">${item.split} split · ${item.id} · right answer <b>${item.answers.join(" | ") || "unknown"}</b></p>
      <div class="words">${item.input}</div>
      <div class="pair"><${Side} name="A" response=${item.left} /><${Side} name="B" response=${item.right} /></div></div>`}</details>`;
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
      ${step.said && html`<p class="pre step-text">${step.said}</p>`}</li>`)}</ol>`}
    ${response.text === null ? html`<p class="quiet">No answer: the model was not called, or did not answer.</p>`
      : html`<details open=${!response.steps.length}><summary>Full answer</summary><div class="words">${response.text}</div></details>`}</section>`;
}
