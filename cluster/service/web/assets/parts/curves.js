// Learning curves of the trials of one task: the best prompt's dev accuracy after each round, with its interval. Drawn by uPlot,
// with the same figures in a table below.
import { html, useEffect, useRef, useState } from "/assets/dom.js";
import uPlot from "/vendor/uPlot.esm.js";
import { accuracies, reached, ticks } from "/assets/parts/scale.js";
import { count, interval, share } from "/assets/wording.js";

const DASHES = [[], [8, 4], [2, 4], [12, 4, 2, 4]];
const HEIGHT_PX = 250;
const MOST_BANDS = 3;
/** The same hues as .hue-N in parts.css. */
export const HUES = 8;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Trials with `hue` and `dash` numbers, all of one task. */
export function Curves({ trials, byCalls, title }) {
  const box = useRef(null);
  const [lit, setLit] = useState(null);
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const changed = () => setTheme((n) => n + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    window.addEventListener("promptray:theme", changed);
    system.addEventListener("change", changed);
    return () => (window.removeEventListener("promptray:theme", changed), system.removeEventListener("change", changed));
  }, []);
  const chart = useRef(null);
  useEffect(() => {
    const width = () => Math.max(220, box.current.clientWidth);
    const plot = (chart.current = new uPlot(options(trials, lit, byCalls, width()), columns(trials, byCalls), box.current));
    const sized = new ResizeObserver(() => plot.setSize({ width: width(), height: HEIGHT_PX }));
    sized.observe(box.current);
    return () => (sized.disconnect(), plot.destroy());
  }, [trials, lit, byCalls, theme]);
  const points = trials.reduce((sum, trial) => sum + trial.curve.length, 0);
  return html`<figure class="curves"><figcaption><h3>${title}</h3>
      <ul class="legend">${trials.map((trial) => html`<li key=${trial.id}><button class="plain" aria-pressed=${lit === trial.id}
        onClick=${() => setLit(lit === trial.id ? null : trial.id)} title="Show its interval">
        <svg class=${`line hue-${trial.hue}`} width="26" height="8" aria-hidden="true"><line x1="0" x2="26" y1="4" y2="4" stroke-dasharray=${DASHES[trial.dash].join(" ")} /></svg>
        ${trial.name} <b>${share(trial.curve.at(-1)?.dev_accuracy)}</b></button></li>`)}</ul></figcaption>
    <div ref=${box} class="plot" aria-hidden="true" data-points=${points}></div>
    <details><summary>Data table</summary><${AsTable} trials=${trials} title=${title} /></details></figure>`;
}

function AsTable({ trials, title }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${`Curves of ${title}`}><table><caption class="unseen">Best dev accuracy after each round, ${title}</caption>
    <thead><tr><th scope="col">Trial</th><th scope="col" class="number">Round</th><th scope="col" class="number">Target calls</th><th scope="col" class="number">Dev accuracy</th><th scope="col">Interval</th></tr></thead>
    <tbody>${trials.flatMap((trial) => trial.curve.map((point) => html`<tr key=${`${trial.id} ${point.round}`}><th scope="row">${trial.name}</th>
      <td class="number">${point.round}</td><td class="number">${count(point.target_calls)}</td><td class="number">${share(point.dev_accuracy)}</td>
      <td>${interval(point.low, point.high)}</td></tr>`))}</tbody></table></div>`;
}

const placed = (point, byCalls) => (byCalls ? point.target_calls : point.round);

/** All x values, then low, high and best of each trial at these. */
function columns(trials, byCalls) {
  const places = new Set(trials.flatMap((trial) => trial.curve.map((point) => placed(point, byCalls))));
  places.delete(null);
  const xs = [...places].sort((one, other) => one - other);
  const ys = trials.flatMap((trial) => {
    const at = new Map(trial.curve.map((point) => [placed(point, byCalls), point]));
    return ["low", "high", "dev_accuracy"].map((name) => xs.map((x) => at.get(x)?.[name] ?? null));
  });
  return [xs, ...ys];
}

function options(trials, lit, byCalls, width) {
  const banded = (trial) => (lit ? lit === trial.id : trials.length <= MOST_BANDS);
  const series = [{}];
  const bands = [];
  for (const trial of trials) {
    const hue = colour(`--hue-${trial.hue}`);
    const quiet = lit && lit !== trial.id;
    const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true, show: banded(trial) };
    if (banded(trial)) bands.push({ series: [series.length + 1, series.length], fill: `${hue}2e` });
    series.push(edge, { ...edge }, {
      stroke: quiet ? `${hue}55` : hue, width: lit === trial.id ? 3 : 2, dash: DASHES[trial.dash], spanGaps: true,
      points: { show: true, size: 6, fill: quiet ? `${hue}55` : hue, stroke: hue },
    });
  }
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const places = (plot, name) => (name === "x" ? ticks(plot.scales.x.min, plot.scales.x.max, Math.max(2, Math.floor(plot.width / 70)), true)
    : ticks(plot.scales.y.min, Math.min(1, plot.scales.y.max)));
  const marked = (name) => ({ splits: (plot) => places(plot, name).values, values: (plot) => places(plot, name).labels });
  return {
    width, height: HEIGHT_PX, legend: { show: false }, cursor: { show: false }, series, bands,
    hooks: { draw: [(plot) => (whiskers(plot, trials.map(banded)), note(plot, places))] },
    // uPlot would give a single point at 0 a scale from 0 to 100, so the ends are set here.
    scales: { x: { time: false, range: (plot) => reached(plot.data[0]) }, y: { range: (_, low, high) => accuracies(low, high) } },
    axes: [{ ...axis, ...marked("x"), label: byCalls ? "target calls" : "round", labelSize: 20, labelFont: axis.font, size: 30 },
      { ...axis, ...marked("y"), size: 46 }],
  };
}

/** Draws the interval of each point as a vertical line: a trial with one round has no band. */
function whiskers(plot, banded) {
  const { ctx, data, series } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  banded.forEach((shown, trial) => shown && data[0].forEach((at, place) => {
    const [low, high] = [data[3 * trial + 1][place], data[3 * trial + 2][place]];
    if (low === null || high === null) return;
    const x = plot.valToPos(at, "x", true);
    ctx.strokeStyle = series[3 * trial + 3].stroke();
    ctx.beginPath();
    ctx.moveTo(x, plot.valToPos(low, "y", true));
    ctx.lineTo(x, plot.valToPos(high, "y", true));
    ctx.stroke();
  }));
  ctx.restore();
}

/** Puts the axes' ends and ticks into data attributes, for tests. */
function note(plot, places) {
  const box = plot.root.parentElement;
  if (!box) return;
  for (const name of ["x", "y"]) {
    box.dataset[`${name}Range`] = `${plot.scales[name].min} ${plot.scales[name].max}`;
    box.dataset[`${name}Ticks`] = places(plot, name).labels.join(" ");
  }
}
