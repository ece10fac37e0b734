// Learning curves: the best prompt's dev accuracy after each round of each trial, with its 95% interval.
import { html, uPlot, useEffect, useMemo, useRef, useState } from "/assets/vendor.js";
import { accuracy, count, interval, title } from "/assets/format.js";

const COLOURS = 8;
const MOST_BANDS = 8;
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3]];
const HEIGHT = 300;

export function Curves({ trials }) {
  const [by, setBy] = useState("round");
  const [hidden, setHidden] = useState(new Set());
  const tasks = [...new Set(trials.map((trial) => trial.task))];
  const [chosen, setTask] = useState("");
  const task = tasks.includes(chosen) ? chosen : tasks[0];
  const drawn = trials.filter((trial) => trial.task === task && trial.curve.length);
  const strategies = [...new Set(trials.map((trial) => trial.strategy))];
  const shown = drawn.filter((trial) => !hidden.has(trial.strategy));
  const toggle = (name) => setHidden((before) => {
    const after = new Set(before);
    if (!after.delete(name)) after.add(name);
    return after;
  });
  if (!trials.some((trial) => trial.curve.length)) return html`<p class="quiet">They begin with the first finished round.</p>`;
  return html`
    <div class="row controls">
      ${tasks.length > 1 ? html`<label class="inline">Task <select value=${task} onChange=${(event) => setTask(event.target.value)}>
        ${tasks.map((name) => html`<option>${name}</option>`)}</select></label>` : null}
      <fieldset class="inline"><legend class="unseen">Strategies shown</legend>${strategies.map((name, at) => html`
        <label class="key"><input type="checkbox" checked=${!hidden.has(name)} onChange=${() => toggle(name)} />
          <span class=${`dot fill-${at % COLOURS}`}></span>${title(name)}</label>`)}</fieldset>
      <span class="push"></span>
      <label class="inline">By <select value=${by} onChange=${(event) => setBy(event.target.value)}>
        <option value="round">round</option><option value="target_calls">target calls</option></select></label>
    </div>
    <${Chart} trials=${shown} strategies=${strategies} by=${by} />
    <details class="alternative"><summary>The same in numbers</summary><${Numbers} trials=${shown} /></details>`;
}

function dataOf(trials, by) {
  const tables = trials.map((trial) => {
    const points = trial.curve.filter((point) => point[by] !== null).sort((one, other) => one[by] - other[by]);
    const distinct = points.filter((point, at) => at === points.length - 1 || points[at + 1][by] !== point[by]);
    return ["dev_accuracy", "low", "high"].reduce((table, name) => [...table, distinct.map((point) => point[name])], [distinct.map((point) => point[by])]);
  });
  return tables.length ? uPlot.join(tables) : [[]];
}

function seriesOf(trials, strategies, style) {
  const series = [{}], bands = [];
  trials.forEach((trial, at) => {
    const colour = style.getPropertyValue(`--series-${strategies.indexOf(trial.strategy) % COLOURS}`).trim();
    const line = { spanGaps: true, label: trial.id };
    series.push(
      { ...line, stroke: colour, width: 2, dash: DASHES[trial.seed % DASHES.length], points: { size: 5 } },
      { ...line, stroke: "transparent", points: { show: false } }, { ...line, stroke: "transparent", points: { show: false } });
    if (trials.length <= MOST_BANDS) bands.push({ series: [3 * at + 3, 3 * at + 2], fill: `${colour}22` });
  });
  return { series, bands };
}

/** The interval of each point as an upright line, since a trial with one round has no band. */
const whiskers = (trials) => (chart) => {
  if (trials.length > MOST_BANDS) return;
  const { ctx, data } = chart;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  trials.forEach((_, trial) => {
    ctx.strokeStyle = chart.series[3 * trial + 1].stroke();
    data[0].forEach((at, place) => {
      const low = data[3 * trial + 2][place], high = data[3 * trial + 3][place];
      if (low === null || low === undefined || high === null || high === undefined) return;
      const x = chart.valToPos(at, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, chart.valToPos(low, "y", true));
      ctx.lineTo(x, chart.valToPos(high, "y", true));
      ctx.stroke();
    });
  });
  ctx.restore();
};

function Chart({ trials, strategies, by }) {
  const place = useRef(null);
  const [theme, setTheme] = useState(0);
  const data = useMemo(() => dataOf(trials, by), [trials, by]);
  useEffect(() => {
    const changed = () => setTheme((before) => before + 1);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themed", changed);
    dark.addEventListener("change", changed);
    return () => {
      removeEventListener("themed", changed);
      dark.removeEventListener("change", changed);
    };
  }, []);
  const names = trials.map((trial) => trial.id).join();
  const chart = useRef(null);
  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--quiet").trim(), grid = style.getPropertyValue("--line").trim();
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
    if (!place.current) return undefined;
    chart.current = new uPlot({
      width: place.current.clientWidth, height: HEIGHT, legend: { show: false }, hooks: { draw: [whiskers(trials)] }, cursor: { drag: { setScale: false } },
      scales: { x: { time: false }, y: { range: [0, 1] } },
      axes: [{ ...axis, label: by === "round" ? "round" : "target calls", labelFont: "12px system-ui", labelSize: 20,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] },
      { ...axis, label: "dev accuracy", labelFont: "12px system-ui", labelSize: 20 }],
      ...seriesOf(trials, strategies, style),
    }, data, place.current);
    const watch = new ResizeObserver(() => place.current && chart.current?.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      chart.current.destroy();
      chart.current = null;
    };
  }, [names, by, theme]);
  useEffect(() => chart.current?.setData(data), [data]);
  const best = trials.map((trial) => `${trial.id} ${accuracy(trial.curve[trial.curve.length - 1].dev_accuracy)}`).slice(0, 12).join("; ");
  return html`<div class="chart" ref=${place} role="img" aria-label=${`Dev accuracy by ${by.replace("_", " ")}. Last: ${best}`}></div>`;
}

const Numbers = ({ trials }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label="Learning curves in numbers"><table>
    <thead><tr><th scope="col">trial</th><th scope="col" class="number">round</th><th scope="col" class="number">target calls</th>
      <th scope="col" class="number">dev accuracy</th><th scope="col">95% interval</th></tr></thead>
    <tbody>${trials.slice(0, 30).flatMap((trial) => trial.curve.map((point) => html`
      <tr><th scope="row">${trial.id}</th><td class="number">${point.round}</td><td class="number">${count(point.target_calls)}</td>
        <td class="number">${accuracy(point.dev_accuracy)}</td><td>${interval(point.low, point.high)}</td></tr>`))}</tbody></table></div>`;
