// The first rows of a data set, as the service reads them.
import { html } from "/assets/dom.js";

export function Rows({ rows, caption }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table class="rows"><caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">Id</th><th scope="col">Input</th><th scope="col">Answers</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id}><td>${row.id}</td><td class="pre">${row.input}</td>
      <td>${row.answers.join(" | ")}${row.choices.length ? html`<span class="quiet"> of ${row.choices.join(", ")}</span>` : ""}</td></tr>`)}</tbody></table></div>`;
}
