// The events of a job, the newest first.
import { html, useState } from "/assets/dom.js";

const SHOWN = 30;
const CONNECTION = { live: "live", lost: "reconnecting …", over: "", "": "" };
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const TONES = { "trial.better": "good", "job.succeeded": "good", "trial.failed": "bad", "job.failed": "bad", "budget.warning": "note", "trial.paused": "note" };

export function Log({ events, connection }) {
  const [all, setAll] = useState(false);
  const newest = events.toReversed().slice(0, all ? undefined : SHOWN);
  return html`<section class="card" aria-labelledby="log"><div class="title"><h2 id="log">Events</h2><span class=${`quiet connection-${connection}`}>${CONNECTION[connection]}</span></div>
    <ol class="log" tabindex="0" aria-label="Events, the newest first">${newest.map((event) => html`<li key=${event.id} class=${TONES[event.kind] || ""}>
      <time>${clock.format(new Date(event.created_at * 1000))}</time><div><b>${event.kind}</b>${event.trial && html` <span class="quiet">${event.trial}</span>`}<br />${event.message}</div></li>`)}</ol>
    ${!all && events.length > SHOWN && html`<button onClick=${() => setAll(true)}>All ${events.length} events</button>`}</section>`;
}
