// A word diff as the service gives it. Words are marked by element, sign and colour.
import { html } from "/assets/dom.js";

export function Diff({ pieces, label }) {
  const changed = pieces.some((piece) => piece.kind !== "same");
  return html`<div class="words diff" role="group" aria-label=${label}>${pieces.map((piece) =>
    piece.kind === "added" ? html`<ins><span class="unseen">added: </span>${piece.text}</ins>`
      : piece.kind === "removed" ? html`<del><span class="unseen">removed: </span>${piece.text}</del>` : html`<span>${piece.text}</span>`)}</div>
    ${changed ? "" : html`<p class="quiet">No word differs.</p>`}`;
}
