// The lineage as a tree from left to right, laid out by d3-hierarchy. Only the visible part is drawn, so that ten thousand
// candidates are as fast as fifty. Arrow keys move in it.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "/assets/dom.js";
import { stratify, tree as treeLayout } from "/vendor/d3-hierarchy.min.mjs";
import { operatorName, plural, share, short, signed } from "/assets/wording.js";

const ROW_PX = 46;
const COLUMN_PX = 236;
const NODE_PX = 118;
const MARGIN_PX = 26;
const ROOT = "(root)";

/** Nodes with their positions in pixels, and the size of the whole tree. */
export function laidOut(candidates) {
  if (!candidates.length) return { nodes: [], width: 0, height: 0 };
  const parents = withoutCircles(candidates.map((one) => one.parent));
  const rows = [{ id: ROOT, up: null }, ...candidates.map((one) => ({ ...one, up: parents[one.place] === null ? ROOT : candidates[parents[one.place]].id }))];
  const root = stratify().id((row) => row.id).parentId((row) => row.up)(rows);
  treeLayout().nodeSize([ROW_PX, COLUMN_PX]).separation(() => 1)(root);
  const nodes = root.descendants().filter((node) => node.id !== ROOT);
  const top = nodes.reduce((least, node) => Math.min(least, node.x), Infinity);
  for (const node of nodes) Object.assign(node, { top: node.x - top + MARGIN_PX, left: node.y - COLUMN_PX + 8 });
  const most = (of) => nodes.reduce((far, node) => Math.max(far, of(node)), 0);
  return { nodes, width: most((node) => node.left) + NODE_PX + 16, height: most((node) => node.top) + MARGIN_PX + 12 };
}

/** A prompt that was made a second time may have its own descendant as its parent: such an edge is left out. */
export function withoutCircles(parents) {
  const found = [...parents];
  const walked = new Array(found.length).fill(-1);
  for (let start = 0; start < found.length; start++) {
    for (let at = start; walked[at] === -1; at = found[at]) {
      walked[at] = start;
      if (found[at] === null) break;
      if (walked[found[at]] === start) found[at] = null;
      if (found[at] === null) break;
    }
  }
  return found;
}

export function Tree({ candidates, best, picked, pick }) {
  const most = useMemo(() => candidates.reduce((far, one) => Math.max(far, one.dev_items), 0), [candidates]);
  const { nodes, width, height } = useMemo(() => laidOut(candidates), [candidates]);
  const box = useRef(null);
  const [sight, setSight] = useState({ left: 0, top: 0, right: 1400, bottom: 700 });
  const [focused, setFocused] = useState(null);
  const current = nodes.find((node) => node.id === (focused || picked)) || nodes.find((node) => node.id === best) || nodes[0];
  useEffect(() => {
    const element = box.current;
    const look = () => setSight({ left: element.scrollLeft - COLUMN_PX, top: element.scrollTop - 200,
      right: element.scrollLeft + element.clientWidth + COLUMN_PX, bottom: element.scrollTop + element.clientHeight + 200 });
    look();
    const sized = new ResizeObserver(look);
    sized.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => (sized.disconnect(), element.removeEventListener("scroll", look));
  }, []);
  useLayoutEffect(() => current && bring(box.current, current), [Boolean(nodes.length), picked]);
  useLayoutEffect(() => {
    if (!focused) return;
    bring(box.current, current);
    box.current.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }, [focused]);
  const move = (event) => {
    const to = neighbour(event.key, current, nodes);
    if (!to) return;
    event.preventDefault();
    setFocused(to.id);
  };
  const inSight = (node) => node.top > sight.top && node.top < sight.bottom && node.left > sight.left && node.left < sight.right;
  const drawn = nodes.filter((node) => inSight(node) || node === current);
  const edges = nodes.filter((node) => node.parent.id !== ROOT && crosses(node, sight));
  return html`<div class="tree scroll" ref=${box}><div class="canvas" role="tree" aria-label="Lineage of prompts" onKeyDown=${move} style=${{ width: `${width}px`, height: `${height}px` }}>
    <svg width=${width} height=${height} aria-hidden="true">${edges.map((node) => html`<path key=${node.id} d=${edge(node)} class=${tone(node.data.gain)} />`)}</svg>
    ${edges.filter(inSight).map((node) => html`<span key=${`${node.id}-edge`} class="edge" aria-hidden="true" style=${{ left: `${node.left - COLUMN_PX + NODE_PX + 33}px`, top: `${node.top - 19}px` }}>${operatorName(node.data.operator)}${node.data.changed_step ? ` ${node.data.changed_step}` : ""}</span>`)}
    ${drawn.map((node) => html`<${Node} key=${node.id} node=${node} fewer=${node.data.dev_items < most} best=${node.id === best} picked=${node.id === picked} focusable=${node === current}
      pick=${() => (setFocused(node.id), pick(node.id))} />`)}</div></div>`;
}

/** `fewer`: measured on fewer dev items than others, so that its accuracy cannot be compared with theirs. */
function Node({ node, fewer, best, picked, focusable, pick }) {
  const { data } = node;
  const step = data.changed_step ? `, step ${data.changed_step}` : "";
  const label = `${short(data.id)}, ${operatorName(data.operator)}${step}, round ${data.round}, dev accuracy ${share(data.dev_accuracy)}${data.gain === null ? "" : `, ${signed(data.gain)} over its parent`}, on ${plural(data.dev_items, "dev item")}${best ? ", the best" : ""}${data.kept ? "" : ", not kept"}`;
  return html`<button role="treeitem" class=${`node ${best ? "is-best" : ""} ${data.kept ? "" : "not-kept"}`} aria-level=${node.depth} aria-selected=${picked} aria-label=${label} title=${label}
    tabindex=${focusable ? 0 : -1} onClick=${pick} style=${{ left: `${node.left}px`, top: `${node.top - 17}px` }}>
    <b>${share(data.dev_accuracy)}</b>${fewer && data.gain === null && html`<span class="gain" aria-hidden="true">n=${data.dev_items}</span>`}${data.gain !== null && html`<span class=${`gain ${tone(data.gain)}`}>${signed(data.gain)}</span>`}${best && html`<span class="star">★</span>`}</button>`;
}

const tone = (gain) => (gain > 0.0001 ? "good" : gain < -0.0001 ? "bad" : "");

function edge(node) {
  const [x, y] = [node.parent.left + NODE_PX, node.parent.top];
  const middle = x + 16;
  return `M${x},${y}C${middle},${y} ${middle - 4},${node.top} ${middle + 14},${node.top}L${node.left},${node.top}`;
}

function crosses(node, sight) {
  const [low, high] = [Math.min(node.top, node.parent.top), Math.max(node.top, node.parent.top)];
  return high > sight.top && low < sight.bottom && node.parent.left < sight.right && node.left > sight.left;
}

/** Left: the parent; right: the first child; up and down: the next at the same depth. */
function neighbour(key, node, nodes) {
  if (!node) return null;
  if (key === "ArrowLeft") return node.parent.id === ROOT ? null : node.parent;
  if (key === "ArrowRight") return node.children ? node.children[0] : null;
  if (key === "Home") return nodes[0];
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const sign = key === "ArrowUp" ? -1 : 1;
  const beyond = nodes.filter((one) => one.depth === node.depth && sign * (one.top - node.top) > 0);
  return beyond.reduce((near, one) => (!near || sign * (one.top - near.top) < 0 ? one : near), null);
}

function bring(box, node) {
  const gap = 60;
  if (node.top < box.scrollTop + gap || node.top > box.scrollTop + box.clientHeight - gap) box.scrollTop = node.top - box.clientHeight / 2;
  if (node.left < box.scrollLeft || node.left + NODE_PX > box.scrollLeft + box.clientWidth) box.scrollLeft = node.left - box.clientWidth / 2;
}
