// All that has happened to a job, the newest first.
import { html, useState } from "/assets/vendor.js";

const MOST = 200;

export function Events({ events }) {
  const [shown, setShown] = useState(MOST);
  if (!events.length) return html`<p class="quiet">Nothing has happened yet.</p>`;
  const newest = events.slice(-shown).reverse();
  return html`
    <ol class="events" reversed>${newest.map((event) => html`
      <li key=${event.id} value=${event.id} class=${`is-${event.kind.replace(".", "-")}`}>
        <time datetime=${new Date(1000 * event.created_at).toISOString()}>${new Date(1000 * event.created_at).toLocaleTimeString("en-GB")}</time>
        <span class="kind">${event.kind}</span> <span>${event.message}</span></li>`)}</ol>
    ${events.length > shown ? html`<button onClick=${() => setShown(shown + MOST)}>Show earlier ones</button>` : null}`;
}
