// An error in one sentence, and a placeholder where there is nothing to show.
import { html } from "/assets/dom.js";

export function Problem({ error }) {
  const hint = error.status === 401 ? " Enter a key with the button at the top." : "";
  return html`<div class="notice bad" role="alert"><b aria-hidden="true">✗ </b><span class="pre">${error.message}${hint}</span></div>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
