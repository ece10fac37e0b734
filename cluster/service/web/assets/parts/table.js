// A table that sorts by any column and draws only the visible rows, so that ten thousand rows are as fast as forty.
import { html, useEffect, useMemo, useRef, useState } from "/assets/dom.js";

const ROW_PX = 34;
const SPARE = 12;
const ALL_BELOW = 80;

/** Columns: {key, name, value(row) to sort by, cell(row), number}. `pick(row)` makes rows choosable. */
export function Table({ rows, columns, caption, sort: first = null, idOf, picked, pick }) {
  const [sort, setSort] = useState(first);
  const sorted = useMemo(() => sortedBy(rows, columns, sort), [rows, columns, sort]);
  const windowed = sorted.length > ALL_BELOW;
  const [box, seen] = useWindow(sorted.length, windowed);
  useShown(box, sorted.findIndex((row) => picked && picked === idOf(row)), windowed);
  const [start, end] = windowed ? seen : [0, sorted.length];
  const sortBy = (key) => setSort(sort && sort.key === key ? { key, down: !sort.down } : { key, down: Boolean(columns.find((one) => one.key === key).number) });
  return html`<div class=${windowed ? "scroll tall" : "scroll"} ref=${box} tabindex="0" role="region" aria-label=${caption}>
    <table aria-rowcount=${sorted.length + 1}><caption class="unseen">${caption}</caption>
      <thead><tr>${columns.map((column) => html`<${Head} key=${column.key} column=${column} sort=${sort} sortBy=${sortBy} />`)}</tr></thead>
      <tbody>
        ${windowed && start > 0 && html`<tr class="gap" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${start * ROW_PX}px` }}></td></tr>`}
        ${sorted.slice(start, end).map((row, place) => html`<tr key=${idOf(row)} aria-rowindex=${start + place + 2} class=${picked && picked === idOf(row) ? "picked" : ""}
            onClick=${pick && ((event) => event.target.closest("a,button,input") || pick(row))}>
          ${columns.map((column) => html`<td key=${column.key} class=${column.number ? "number" : ""}>${column.cell(row)}</td>`)}</tr>`)}
        ${windowed && end < sorted.length && html`<tr class="gap" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${(sorted.length - end) * ROW_PX}px` }}></td></tr>`}
      </tbody></table></div>`;
}

function Head({ column, sort, sortBy }) {
  const mine = sort && sort.key === column.key;
  const order = mine ? (sort.down ? "descending" : "ascending") : undefined;
  return html`<th scope="col" aria-sort=${order} class=${column.number ? "number" : ""}>${column.value
    ? html`<button class="sort" onClick=${() => sortBy(column.key)}>${column.name}${mine && html`<span aria-hidden="true">${sort.down ? " ↓" : " ↑"}</span>`}</button>`
    : column.name}</th>`;
}

/** Rows without a value come last in either order; equal ones keep their order. */
export function sortedBy(rows, columns, sort) {
  const column = sort && columns.find((one) => one.key === sort.key);
  if (!column || !column.value) return rows;
  const keyed = rows.map((row) => [column.value(row), row]);
  const sign = sort.down ? -1 : 1;
  keyed.sort(([one], [other]) => {
    const none = [one, other].map((value) => value === null || value === undefined || value === "");
    if (none[0] || none[1]) return none[0] - none[1];
    return sign * (typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
  });
  return keyed.map(([, row]) => row);
}

/** Scrolls to the picked row once, when the rows are first drawn. */
function useShown(box, place, windowed) {
  const done = useRef(false);
  useEffect(() => {
    if (done.current || place < 0) return;
    done.current = true;
    const top = place * ROW_PX;
    if (windowed && top > box.current.clientHeight - 2 * ROW_PX) box.current.scrollTop = top - box.current.clientHeight / 2;
    else if (!windowed) box.current.querySelector("tr.picked")?.scrollIntoView({ block: "nearest" });
  }, [place >= 0]);
}

function useWindow(length, windowed) {
  const box = useRef(null);
  const [seen, setSeen] = useState([0, 40]);
  useEffect(() => {
    const element = box.current;
    if (!windowed || !element) return undefined;
    const look = () => {
      const start = Math.max(0, Math.floor(element.scrollTop / ROW_PX) - SPARE);
      const end = Math.min(length, Math.ceil((element.scrollTop + element.clientHeight) / ROW_PX) + SPARE);
      setSeen((before) => (before[0] === start && before[1] === end ? before : [start, end]));
    };
    look();
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, [length, windowed]);
  return [box, seen];
}
