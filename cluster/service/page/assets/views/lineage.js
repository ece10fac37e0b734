// The prompts of a trial as a tree: from which each was made, by what, and what it changed.
import { html, stratify, tree, useEffect, useMemo, useState } from "/assets/vendor.js";
import { get, job as place } from "/assets/api.js";
import { accuracy, leading, plainId, plural, signed, title } from "/assets/format.js";
import { go } from "/assets/routing.js";
import { Diff, Table, Trouble } from "/assets/parts.js";

const MOST_NODES = 300;
const STEP_X = 150, STEP_Y = 26;
const ROOT = "\0root";

export function Lineage({ id, trials, query, running }) {
  const trial = trials.find((one) => one.id === query.trial) || leading(trials);
  const [columns, setColumns] = useState(null);
  const [problem, setProblem] = useState(null);
  const [all, setAll] = useState(false);
  const round = trial?.curve.length;
  useEffect(() => {
    if (!trial) return undefined;
    let over = false;
    get(`${place(id)}/tree?trial=${encodeURIComponent(trial.id)}`).then(
      (found) => over || (setColumns(found), setProblem(null)), (trouble) => over || setProblem(trouble));
    return () => { over = true; };
  }, [id, trial?.id, round, running]);
  if (!trial) return html`<p class="quiet">No trial has started yet.</p>`;
  const move = (changes) => go(`/jobs/${encodeURIComponent(id)}/lineage?${new URLSearchParams({ trial: trial.id, ...changes })}`, true);
  const fits = columns && columns.trial === trial.id;
  const chosen = fits ? (columns.id.includes(query.candidate) ? query.candidate : columns.best || columns.id[0]) : null;
  return html`
    <div class="row controls">
      <label class="inline">Trial <select value=${trial.id} onChange=${(event) => move({ trial: event.target.value })}>
        ${trials.map((one) => html`<option value=${one.id}>${one.id}</option>`)}</select></label>
      ${fits ? html`<span class="quiet">${plural(columns.id.length, "candidate")}</span>
        <label class="key"><input type="checkbox" checked=${all} onChange=${() => setAll(!all)} />with those that were not kept</label>` : null}
    </div>
    <${Trouble} problem=${problem} />
    ${fits && chosen ? html`
      <div class="lineage">
        <${Tree} columns=${columns} all=${all} chosen=${chosen} choose=${(candidate) => move({ candidate })} />
        <${Detail} key=${chosen} id=${id} trial=${trial.id} candidate=${chosen} best=${columns.best} />
      </div>
      <${List} columns=${columns} chosen=${chosen} choose=${(candidate) => move({ candidate })} />` : null}
    ${fits && !chosen ? html`<p class="quiet">No round has ended yet.</p>` : null}`;
}

/** The places of the candidates to draw: kept ones, the chosen and the best, with all their ancestors. */
function drawnPlaces(columns, all, chosen) {
  const places = columns.id.map((_, at) => at);
  const first = [columns.id.indexOf(chosen), columns.id.indexOf(columns.best)].filter((at) => at >= 0);
  const wanted = places.filter((at) => all || columns.kept[at])
    .sort((one, other) => (columns.dev_accuracy[other] ?? -1) - (columns.dev_accuracy[one] ?? -1));
  const drawn = new Set();
  for (const at of [...first, ...wanted]) {
    if (drawn.size >= MOST_NODES) break;
    for (let up = at; up !== null && up !== undefined && !drawn.has(up); up = columns.parent[up]) drawn.add(up);
  }
  return [...drawn].sort((one, other) => one - other);
}

function layoutOf(columns, all, chosen) {
  const places = drawnPlaces(columns, all, chosen);
  const known = new Set(places);
  const rows = [{ at: ROOT, up: null }, ...places.map((at) => ({ at, up: known.has(columns.parent[at]) ? columns.parent[at] : ROOT }))];
  const root = tree().nodeSize([STEP_Y, STEP_X])(stratify().id((row) => row.at).parentId((row) => row.up)(rows));
  const nodes = root.descendants().filter((node) => node.data.at !== ROOT);
  const top = Math.min(...nodes.map((node) => node.x));
  for (const node of nodes) node.at = node.data.at;
  return { nodes, top, width: Math.max(...nodes.map((node) => node.y)) + 90, height: Math.max(...nodes.map((node) => node.x)) - top + STEP_Y };
}

function Tree({ columns, all, chosen, choose }) {
  const { nodes, top, width, height } = useMemo(() => layoutOf(columns, all, chosen), [columns, all, chosen]);
  const x = (node) => node.y - STEP_X + 24, y = (node) => node.x - top + STEP_Y / 2;
  const own = nodes.find((node) => columns.id[node.at] === chosen);
  const key = (event) => {
    const beside = nodes.filter((node) => node.depth === own.depth).sort((one, other) => one.x - other.x);
    const at = beside.indexOf(own);
    const next = {
      ArrowLeft: own.parent?.data.at === ROOT ? null : own.parent, ArrowRight: own.children?.[0], ArrowUp: beside[at - 1], ArrowDown: beside[at + 1],
      Home: nodes[0], End: nodes[nodes.length - 1],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    choose(columns.id[next.at]);
  };
  useEffect(() => {
    const place = document.querySelector(".tree .chosen");
    if (document.activeElement?.closest?.(".tree")) place?.focus();
    place?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [chosen]);
  return html`
    <div class="tree scroll">
      <svg width=${width} height=${height} role="tree" aria-label="Candidates, from the first prompt on; arrow keys move" onKeyDown=${key}>
        <g aria-hidden="true">${nodes.filter((node) => node.parent.data.at !== ROOT).map((node) => {
          const middle = (x(node) + x(node.parent)) / 2;
          return html`<g><path class="edge" d=${`M${x(node.parent)},${y(node.parent)}C${middle},${y(node.parent)} ${middle},${y(node)} ${x(node)},${y(node)}`} />
            <text class="operator" x=${x(node) - 12} y=${y(node) - 5} text-anchor="end">${columns.operator[node.at]}${
              columns.changed_step[node.at] ? ` ${columns.changed_step[node.at]}` : ""}</text></g>`;
        })}</g>
        ${nodes.map((node) => {
          const id = columns.id[node.at], best = id === columns.best;
          return html`<g key=${id} role="treeitem" aria-level=${node.depth} aria-selected=${id === chosen} tabindex=${id === chosen ? 0 : -1}
              class=${`node ${columns.kept[node.at] ? "kept" : "lost"} ${best ? "best" : ""} ${id === chosen ? "chosen" : ""}`}
              transform=${`translate(${x(node)},${y(node)})`} onClick=${() => choose(id)}
              aria-label=${`${best ? "Best candidate" : "Candidate"}, ${columns.operator[node.at]}, round ${columns.round[node.at]}, dev accuracy ${accuracy(columns.dev_accuracy[node.at])}, gain ${signed(columns.gain[node.at])}`}>
            <rect class="hit" x="-10" y=${-STEP_Y / 2} width="76" height=${STEP_Y} rx="6" />
            <circle r=${best ? 7 : 5} /><text x="11" y="4">${accuracy(columns.dev_accuracy[node.at])}${best ? " ★" : ""}</text></g>`;
        })}
      </svg>
      ${nodes.length < columns.id.length ? html`<p class="quiet pad">${plural(nodes.length, "candidate")} of ${columns.id.length.toLocaleString("en")} drawn:
        ${all ? " the best" : " those that were kept"}, with their ancestors. The list below has all.</p>` : null}
    </div>`;
}

function Detail({ id, trial, candidate, best }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    let over = false;
    get(`${place(id)}/candidates/${candidate}?trial=${encodeURIComponent(trial)}`).then(
      (answer) => over || setFound(answer), (trouble) => over || setProblem(trouble));
    return () => { over = true; };
  }, [candidate]);
  if (!found) return html`<aside class="card detail"><${Trouble} problem=${problem} /></aside>`;
  const compare = (left, right) => `/jobs/${encodeURIComponent(id)}/compare?${new URLSearchParams({ trial, left, right })}`;
  return html`
    <aside class="card detail" aria-label="The chosen candidate">
      <h2>${found.operator === "seed" ? "The first prompt" : html`Made by ${title(found.operator)}`}${candidate === best ? " ★" : ""}</h2>
      <dl class="about"><dt>dev accuracy</dt><dd><b>${accuracy(found.dev_accuracy)}</b> on ${plural(found.dev_items, "item")}</dd>
        <dt>gain over parent</dt><dd>${signed(found.gain)}</dd><dt>round</dt><dd>${found.round}</dd>
        ${found.adherence === null ? null : html`<dt>adherence</dt><dd>${accuracy(found.adherence)}</dd>`}
        <dt>demonstrations</dt><dd>${found.demonstrations}</dd><dt>id</dt><dd><code>${plainId(candidate)}</code></dd></dl>
      ${found.failing_step ? html`<h3>The step that failed</h3><blockquote>${found.changed_step ? `Step ${found.changed_step}: ` : ""}${found.failing_step}</blockquote>` : null}
      ${found.reflection ? html`<h3>Why</h3><blockquote class="lines">${found.reflection}</blockquote>` : null}
      <h3>${found.parent ? "What changed" : "Prompt"}</h3><${Diff} pieces=${found.diff} />
      <p class="row">${found.parent ? html`<a class="button" href=${compare(found.parent, candidate)}>Compare with its parent</a>` : null}
        ${best && best !== candidate ? html`<a class="button" href=${compare(candidate, best)}>Compare with the best</a>` : null}</p>
    </aside>`;
}

function List({ columns, chosen, choose }) {
  const rows = useMemo(() => columns.id.map((_, at) => at), [columns]);
  return html`
    <section aria-labelledby="list"><h2 id="list">All candidates</h2>
      <${Table} caption="All candidates of the trial" rows=${rows} rowKey=${(at) => columns.id[at]} initial="dev" most=${50} columns=${[
        { name: "id", title: "candidate", cell: (at) => html`<button class="link" aria-pressed=${columns.id[at] === chosen} onClick=${() => choose(columns.id[at])}>
          ${plainId(columns.id[at])}${columns.id[at] === columns.best ? " ★" : ""}</button>` },
        { name: "operator", title: "operator", value: (at) => columns.operator[at], cell: (at) => title(columns.operator[at]) },
        { name: "round", title: "round", number: true, value: (at) => columns.round[at], cell: (at) => columns.round[at] },
        { name: "dev", title: "dev accuracy", number: true, value: (at) => columns.dev_accuracy[at], cell: (at) => accuracy(columns.dev_accuracy[at]) },
        { name: "items", title: "items", number: true, value: (at) => columns.dev_items[at], cell: (at) => columns.dev_items[at] },
        { name: "gain", title: "gain", number: true, value: (at) => columns.gain[at], cell: (at) => signed(columns.gain[at]) },
        { name: "kept", title: "kept", value: (at) => Number(columns.kept[at]), cell: (at) => (columns.kept[at] ? "yes" : "no") },
      ]} /></section>`;
}
