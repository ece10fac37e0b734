// A prompt for reading: its text, and its worked examples as input, steps and answer with their line breaks.
import { html } from "/assets/dom.js";
import { plural } from "/assets/wording.js";

export function PromptText({ text, examples }) {
  return html`<div class="words">${text}</div>${examples.length > 0 && html`<h3>${plural(examples.length, "worked example")}</h3><${Examples} examples=${examples} />`}`;
}

export function Examples({ examples }) {
  return html`<ol class="examples">${examples.map((one, place) => html`<li key=${place}>${one.new && html`<span class="badge good">new</span>`}
    <dl class="example"><dt>Input</dt><dd class="words">${one.input}</dd>
      ${one.parts.map((part, at) => html`<dt key=${`${at} label`}>${part.label}</dt><dd key=${at} class="words">${part.text}</dd>`)}</dl></li>`)}</ol>`;
}

/** What changed among the worked examples, if anything. */
export function ExampleChanges({ examples, dropped }) {
  const added = examples.filter((one) => one.new);
  if (!added.length && !dropped) return "";
  return html`<h3>Worked examples: ${[added.length && `${added.length} new`, dropped && `${dropped} dropped`].filter(Boolean).join(", ")}</h3>
    ${added.length > 0 && html`<${Examples} examples=${added} />`}`;
}
