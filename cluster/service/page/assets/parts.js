// The small parts that every view is made of.
import { html, useEffect, useRef, useState } from "/assets/vendor.js";
import { download } from "/assets/api.js";
import { share } from "/assets/format.js";

const MARK_BY_STATUS = {
  queued: "◌", waiting: "◌", running: "●", cancelling: "◐", succeeded: "✓", finished: "✓", budget: "✓", pruned: "✂", stopped: "■",
  cancelled: "■", failed: "✗"};

export const Status = ({ status, position }) => html`
  <span class=${`status is-${status}`}><span aria-hidden="true">${MARK_BY_STATUS[status] || "·"}</span> ${status}${
    position ? html` <span class="quiet">(${position} in line)</span>` : null}</span>`;

export const Trouble = ({ problem, again }) =>
  problem
    ? html`<div class="trouble" role="alert"><p class="lines">${problem.message}</p>${
        again ? html`<button onClick=${again}>Try again</button>` : null}</div>`
    : null;

export const Figure = ({ name, value, children }) => html`
  <div class="figure"><dt>${name}</dt><dd><span class="value">${value}</span>${children}</dd></div>`;

/** Parts of a whole, as a bar with its legend in words. */
export function Parts({ parts, label }) {
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  if (!total) return html`<p class="quiet">None yet.</p>`;
  return html`
    <figure class="parts">
      <div class="bar" role="img" aria-label=${`${label}: ${parts.map(([name, value]) => `${name} ${share(value / total)}`).join(", ")}`}>
        ${parts.map(([, value], at) => html`<span class=${`fill-${at % 8}`} style=${{ flexGrow: value / total }}></span>`)}
      </div>
      <figcaption>${parts.map(([name, value], at) => html`
        <span class="key"><span class=${`dot fill-${at % 8}`}></span>${name} <b>${value.toLocaleString("en")}</b></span>`)}</figcaption>
    </figure>`;
}

/** Saves a file; says so, and says what went wrong. */
export function Save({ path, children, onSaid }) {
  const save = async () => {
    try {
      onSaid(`Saved ${await download(path)}.`);
    } catch (problem) {
      onSaid(problem.message);
    }
  };
  return html`<button onClick=${save}>${children}</button>`;
}

/** The choices that open below a button; Escape and a click elsewhere close it. */
export function Menu({ label, children }) {
  const box = useRef(null);
  useEffect(() => {
    const close = (event) => {
      if (event.type === "keydown" ? event.key === "Escape" : !box.current?.contains(event.target)) box.current?.removeAttribute("open");
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close);
    };
  }, []);
  return html`<details class="menu" ref=${box}><summary>${label}</summary><div>${children}</div></details>`;
}


/** The words that changed; as text alone. */
export const Diff = ({ pieces }) => html`
  <p class="prompt-text">${pieces.map(({ kind, text }) =>
    kind === "same" ? html`<span>${text}</span>`
    : kind === "added" ? html`<ins>${text}</ins>` : html`<del>${text}</del>`)}</p>`;

/** A table that is sorted by a click on its head. `columns`: {name, title, cell, value?, number?}. */
export function Table({ columns, rows, caption, rowKey, initial, initialDown = true, most }) {
  const [order, setOrder] = useState({ by: initial, down: initialDown });
  const [shown, setShown] = useState(most || Infinity);
  const column = columns.find(({ name }) => name === order.by);
  const value = (row) => (column?.value ? column.value(row) : 0);
  const sorted = column ? [...rows].sort((one, other) => compare(value(one), value(other)) * (order.down ? -1 : 1)) : rows;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
      <table>
        <caption class="unseen">${caption}</caption>
        <thead><tr>${columns.map(({ name, title, value: sortable, number }) => html`
          <th scope="col" class=${number ? "number" : ""} aria-sort=${order.by === name ? (order.down ? "descending" : "ascending") : "none"}>
            ${sortable ? html`<button class="head" onClick=${() => setOrder({ by: name, down: order.by === name ? !order.down : true })}>
              ${title}<span aria-hidden="true">${order.by === name ? (order.down ? " ▾" : " ▴") : ""}</span></button>` : title}
          </th>`)}</tr></thead>
        <tbody>${sorted.slice(0, shown).map((row) => html`
          <tr key=${rowKey(row)}>${columns.map(({ cell, number }, at) =>
            at === 0 ? html`<th scope="row">${cell(row)}</th>` : html`<td class=${number ? "number" : ""}>${cell(row)}</td>`)}</tr>`)}</tbody>
      </table>
      ${sorted.length > shown ? html`<p class="pad"><button onClick=${() => setShown(shown + most)}>
        Show ${Math.min(most, sorted.length - shown)} more of ${(sorted.length - shown).toLocaleString("en")}</button></p>` : null}
    </div>`;
}

const compare = (one, other) => {
  const missing = (value) => value === null || value === undefined;
  if (missing(one) || missing(other)) return missing(one) - missing(other) ? (missing(one) ? -1 : 1) : 0;
  return typeof one === "string" ? one.localeCompare(other) : one - other;
};
