// An evaluation: its status, each prompt's score with its interval, the comparisons, and its events.
import { html, useEffect, useRef, useState } from "/assets/dom.js";
import { get, post, url } from "/assets/api.js";
import { announce } from "/assets/frame.js";
import { Link } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Log } from "/assets/parts/log.js";
import { Status } from "/assets/parts/marks.js";
import { Problem } from "/assets/parts/problem.js";
import { OVER, count, when } from "/assets/wording.js";

const EVERY_MS = 2000;
const three = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const REACHED = { true: "The least score is reached.", false: "The least score is not reached." };

export function View({ id }) {
  const job = useAnswer(url(["evaluations", id]), EVERY_MS, (one) => !one || !OVER.includes(one.status));
  const over = job.data?.status === "succeeded";
  const summary = useAnswer(over ? url(["evaluations", id, "summary"]) : null);
  const events = useEvents(id, job.data?.last_event || 0);
  useEffect(() => (document.title = `${job.data?.name || "Evaluation"} · promptray`), [job.data?.name]);
  if (job.error && !job.data) return html`<h1 tabindex="-1">Evaluation</h1><${Problem} error=${job.error} />`;
  if (!job.data) return html`<p class="quiet">Loading …</p>`;
  return html`<${Head} job=${job.data} reload=${job.reload} />
    ${(job.error || summary.error) && html`<${Problem} error=${job.error || summary.error} />`}
    <section class="card" aria-labelledby="scores"><h2 id="scores">Mean scores</h2>
      ${job.data.scores.length ? html`<${Scores} scores=${job.data.scores} />` : html`<p class="empty">Nothing was scored yet.</p>`}
      ${job.data.passed !== null && html`<p>${REACHED[job.data.passed]}</p>`}
      ${summary.data?.ended && html`<p class="notice note">Not complete: ${summary.data.ended}</p>`}</section>
    ${summary.data?.comparisons.length > 0 && html`<section class="card" aria-labelledby="differences"><h2 id="differences">Comparisons</h2>
      <${Differences} comparisons=${summary.data.comparisons} /></section>`}
    <${Log} events=${events} connection="over" />`;
}

function Head({ job, reload }) {
  const [problem, setProblem] = useState(null);
  const run = (verb) => post(url(["evaluations", job.id, verb])).then((now) => announce(`The job is ${now.status}.`), setProblem).then(reload);
  const damaged = job.error?.code === "damaged";
  return html`<div class="job-head"><p class="crumbs"><${Link} href="/">Jobs<//> / <span>${job.id}</span></p>
    <div class="title"><h1 tabindex="-1">${job.name}</h1><${Status} status=${job.status} position=${job.queue_position} />
      <span class="quiet">${count(job.answers)} of ${count(job.answers_wanted)} answers</span><span class="spring"></span>
      ${!OVER.includes(job.status) && job.status !== "cancelling" && html`<button onClick=${() => run("cancel")}>Cancel</button>`}
      ${["failed", "cancelled"].includes(job.status) && !damaged && html`<button class="primary" onClick=${() => run("resume")}>Resume</button>`}</div>
    <p class="quiet">${job.request && html`Target <b>${job.request.target}</b> · `}${job.owner} · ${when(job.created_at)}</p>
    ${job.paused && html`<div class="notice note">Paused: ${job.paused}</div>`}
    ${job.error && html`<${Problem} error=${job.error} />`}${problem && html`<${Problem} error=${problem} />`}</div>`;
}

function Scores({ scores }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Mean scores"><table>
    <thead><tr><th scope="col">Prompt</th><th scope="col" class="number">Mean</th><th scope="col" class="number">95 % interval</th><th scope="col" class="number">Items</th><th scope="col" class="number">Missing</th></tr></thead>
    <tbody>${scores.map((one) => html`<tr key=${one.prompt}><td>${one.prompt}</td><td class="number">${three(one.mean)}</td>
      <td class="number">${one.mean === null ? "–" : `${three(one.low)}–${three(one.high)}`}</td><td class="number">${count(one.items)}</td><td class="number">${count(one.missing)}</td></tr>`)}</tbody></table></div>`;
}

function Differences({ comparisons }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Comparisons"><table>
    <thead><tr><th scope="col">Prompt</th><th scope="col">Against</th><th scope="col" class="number">Difference</th><th scope="col" class="number">95 % interval</th><th scope="col" class="number">p, corrected</th><th scope="col">Verdict</th></tr></thead>
    <tbody>${comparisons.map((one) => html`<tr key=${`${one.second} ${one.first}`}><td>${one.second}</td><td>${one.first}</td><td class="number">${three(one.difference)}</td>
      <td class="number">${three(one.low)}–${three(one.high)}</td><td class="number">${one.corrected_p_value.toPrecision(3)}</td>
      <td>${one.verdict.replace("not distinguishable", "no significant difference")}</td></tr>`)}</tbody></table></div>`;
}

/** The events so far, read again whenever the job has more. */
function useEvents(id, last) {
  const [events, setEvents] = useState([]);
  const known = useRef(0);
  useEffect(() => {
    if (last <= known.current) return;
    known.current = last;
    get(url(["evaluations", id, "events"], { limit: 1000 })).then((page) => setEvents(page.data), () => {});
  }, [id, last]);
  return events;
}
