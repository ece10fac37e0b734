// The form's fields for models, strategies and numbers.
import { html } from "/assets/dom.js";

export function Models({ draft, change, catalogue }) {
  const one = (key, name, models) => html`<div><label for=${key}>${name}</label><select id=${key} value=${draft[key]} onChange=${(event) => change({ [key]: event.target.value })}>
    ${models.map((model) => html`<option key=${model.label} value=${model.label}>${model.label}${model.stand_in ? " (stand-in)" : ""}${model.priced ? " (priced)" : ""}</option>`)}</select></div>`;
  return html`<fieldset class="card"><legend>Models</legend><div class="pair">${one("target", "Target model, which answers the items", catalogue.targets)}
    ${one("optimizer", "Optimizer model, which rewrites the prompt", catalogue.optimizers)}</div></fieldset>`;
}

export function Strategies({ draft, change, catalogue }) {
  const toggle = (name) => change({ strategies: draft.strategies.includes(name) ? draft.strategies.filter((one) => one !== name) : [...draft.strategies, name] });
  return html`<fieldset class="card"><legend>Strategies</legend><ul class="options">${Object.entries(catalogue.strategies).map(([name, text]) => {
    const chosen = draft.strategies.includes(name);
    return html`<li key=${name} class=${chosen ? "chosen" : ""}><label><input type="checkbox" name="strategy" value=${name} checked=${chosen} onChange=${() => toggle(name)} /> <b>${name}</b> <span class="quiet">${text}</span></label>
      ${chosen && html`<details><summary>Settings</summary><label for=${`settings-${name}`}>Settings of ${name}, as JSON</label>
        <input id=${`settings-${name}`} value=${draft.settings[name] || ""} placeholder=${'{"rounds": 2}'} spellcheck="false" onInput=${(event) => change({ settings: { ...draft.settings, [name]: event.target.value } })} /></details>`}</li>`;
  })}</ul><div class="pair"><div><label for="selection">Selection rule, which candidates survive</label><select id="selection" value=${draft.selection} onChange=${(event) => change({ selection: event.target.value })}>
    ${Object.keys(catalogue.selection_rules).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></div>
    <p class="quiet">${catalogue.selection_rules[draft.selection]}</p></div></fieldset>`;
}

const FIELDS = [["train", "Train items"], ["dev", "Dev items"], ["test", "Test items"], ["target_calls", "Target calls a trial"], ["optimizer_calls", "Optimizer calls a trial"], ["concurrency", "Trials at once"], ["seeds", "Seeds"]];

const SPLITS = ["train", "dev", "test"];

export function Numbers({ draft, change }) {
  return html`<fieldset class="card"><legend>Sizes and budget</legend><div class="numbers">
    <div><label for="name">Name of the job</label><input id="name" value=${draft.name} placeholder="from the data" maxlength="64" onInput=${(event) => change({ name: event.target.value })} /></div>
    ${FIELDS.map(([key, name]) => html`<div key=${key}><label for=${key}>${name}</label><input id=${key} inputmode="numeric" value=${draft[key]} onInput=${(event) => change({ [key]: event.target.value, auto: draft.auto && !SPLITS.includes(key) })} /></div>`)}</div>
    <label for="auto"><input id="auto" type="checkbox" checked=${draft.auto} onChange=${(event) => change({ auto: event.target.checked })} /> Fit the items to the data: 50, 50 and 100, or what there is</label>
    <p class="quiet">Trial = task × strategy × seed. The final test is reserved from the budget. Empty = unlimited.</p></fieldset>`;
}
