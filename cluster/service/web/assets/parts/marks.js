// Small marks: a status, an accuracy with its interval, a bar. Each has its meaning in words beside the colour.
import { html } from "/assets/dom.js";
import { STATUS, count, interval, percent, share } from "/assets/wording.js";

export function Status({ status, position }) {
  const [sign, name] = Object.hasOwn(STATUS, status) ? STATUS[status] : ["·", status];
  return html`<span class=${`badge status-${status}`}><span aria-hidden="true">${sign}</span> ${name}${position ? `, ${ordinal(position)} in the queue` : ""}</span>`;
}

const ordinal = (n) => `${n}${["th", "st", "nd", "rd"][(n % 100 > 10 && n % 100 < 14) || n % 10 > 3 ? 0 : n % 10]}`;

const TONES = [[/^(?:clearly |significantly )?better/, "good"], [/^(?:clearly |significantly )?worse/, "bad"]];

export function Verdict({ text }) {
  if (!text) return html`<span class="quiet">–</span>`;
  const tone = TONES.find(([pattern]) => pattern.test(text));
  return html`<span class=${`badge ${tone ? tone[1] : ""}`}>${text}</span>`;
}

/** An accuracy with its interval as a whisker. */
/** `kind`: how the interval was found. */
export function Accuracy({ value, low, high, items, kind }) {
  if (value === null || value === undefined) return html`<span class="quiet">–</span>`;
  const at = (x) => `${(x * 100).toFixed(1)}%`;
  const known = low !== null && low !== undefined;
  return html`<span class="accuracy"><b>${share(value)}</b>
    <span class="whisker" aria-hidden="true">${known && html`<i style=${{ left: at(low), width: at(high - low) }}></i>`}<u style=${{ left: at(value) }}></u></span>
    ${known && html`<span class="quiet" title=${kind ? `95 % ${kind} interval` : undefined}>${interval(low, high)}</span>`}${items ? html`<span class="quiet"> n=${items}</span>` : ""}</span>`;
}

export function Meter({ label, value, most }) {
  const part = most ? Math.min(1, value / most) : 0;
  return html`<div class="meter"><span>${label}</span><span class="figures">${count(value)}${most ? ` of ${count(most)}` : ""}</span>
    ${most ? html`<span class="track" role="img" aria-label=${`${label}: ${percent(part)} of the limit`}><i style=${{ width: `${part * 100}%` }}></i></span>` : ""}</div>`;
}

/** Parts of a whole as a bar, with each name and figure below it. */
export function Shares({ parts }) {
  const whole = parts.reduce((sum, [, value]) => sum + value, 0);
  if (!whole) return html`<p class="quiet">Nothing yet.</p>`;
  return html`<div class="shares"><div class="stack" aria-hidden="true">${parts.map(([name, value], place) => html`
      <i key=${name} class=${`hue-${place % 8}`} style=${{ flexGrow: value }}></i>`)}</div>
    <ul>${parts.map(([name, value], place) => html`<li key=${name}><span class=${`dot hue-${place % 8}`} aria-hidden="true"></span>${name}${" "}
      <b>${count(value)}</b> <span class="quiet">${percent(value / whole)}</span></li>`)}</ul></div>`;
}
