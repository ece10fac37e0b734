// A word diff from the service. Words are marked by element, sign and colour; no text is left out.
import { html } from "/assets/dom.js";
import { signed } from "/assets/parts/signs.js";

export function Diff({ pieces, label }) {
  const changed = pieces.some((piece) => piece.kind !== "same");
  const parts = signed(pieces);
  const text = (place) => parts[place].map(({ text, sign }) => (sign
    ? html`<span class=${sign.startsWith("U+") ? "sign code" : "sign"} data-sign=${sign}>${text}</span>` : text));
  return html`<div class="words diff" role="group" aria-label=${label}>${pieces.map((piece, place) =>
    piece.kind === "added" ? html`<ins><span class="unseen">added: </span>${text(place)}</ins>`
      : piece.kind === "removed" ? html`<del><span class="unseen">removed: </span>${text(place)}</del>` : html`<span>${text(place)}</span>`)}</div>
    ${changed ? "" : html`<p class="quiet">No word of the prompt's text differs.</p>`}`;
}
