// The list of jobs with their current state, the newest first.
import { html, useEffect, useState } from "/assets/dom.js";
import { get, url } from "/assets/api.js";
import { Link, jobAddress } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Empty, Problem } from "/assets/parts/problem.js";
import { Status } from "/assets/parts/marks.js";
import { STATUS, count, plural, share, when } from "/assets/wording.js";

const EVERY_MS = 3000;
const CHOICES = ["", "queued", "running", "succeeded", "failed", "cancelled"];

export function View() {
  const [status, setStatus] = useState("");
  const { data, error } = useAnswer(url(["jobs"], { limit: 50, status }), EVERY_MS);
  const [older, setOlder] = useState([]);
  const [problem, setProblem] = useState(null);
  useEffect(() => (document.title = "Jobs · promptray"), []);
  useEffect(() => setOlder([]), [status]);
  const pages = data ? [data, ...older] : [];
  const known = new Set();
  const jobs = pages.flatMap((page) => page.data).filter((job) => !known.has(job.id) && known.add(job.id));
  const last = pages.at(-1);
  const more = () => get(url(["jobs"], { limit: 50, status, after: last.last_id })).then((page) => setOlder([...older, page]), setProblem);
  return html`<div class="title"><h1 tabindex="-1">Jobs</h1>
      <span class="spring"></span>
      <label for="status" class="inline">Status</label>
      <select id="status" value=${status} onChange=${(event) => setStatus(event.target.value)}>
        ${CHOICES.map((one) => html`<option key=${one} value=${one}>${one ? STATUS[one][1] : "all"}</option>`)}</select>
      <${Link} href="/new" class="button primary">New job<//></div>
    ${(error || problem) && html`<${Problem} error=${error || problem} />`}
    ${data && !jobs.length && html`<${Empty}>No job${status && ` is ${status}`} yet. <${Link} href="/new">Start one<//>: a data set or a generated task, two models, a budget.<//>`}
    <ul class="jobs" aria-label="Jobs">${jobs.map((job) => html`<${job.object === "evaluation" ? Evaluation : Job} key=${job.id} job=${job} />`)}</ul>
    ${last?.has_more && html`<p><button onClick=${more}>Older jobs</button></p>`}`;
}

function Job({ job }) {
  const tasks = job.request?.tasks.map((task) => task.label || task.generated || "data").join(", ");
  const strategies = job.request?.strategies.map((one) => one.label || one.name).join(", ");
  const what = job.error?.code === "damaged" ? job.error.message : job.request && `${tasks} · ${strategies} · target ${job.request.target}`;
  const done = job.trials ? job.trials_done / job.trials : 0;
  return html`<li class="card job"><div class="job-name">
      <h2><${Link} href=${jobAddress(job.id)}>${job.name}<//></h2><${Status} status=${job.status} position=${job.queue_position} />
      ${job.paused && html`<span class="badge note">paused</span>`}</div>
    <p class="quiet clip">${what}</p>
    <dl class="figures">
      ${bestOnDev(job).map(([name, accuracy]) => html`<div key=${name}><dt>${name}</dt><dd>${share(accuracy)}</dd></div>`)}
      <div><dt>Trials</dt><dd>${job.trials_done}/${job.trials}</dd></div>
      <div><dt>Target calls</dt><dd>${count(job.usage.target_calls)}</dd></div>
      <div><dt>In flight</dt><dd>${count(job.in_flight)}</dd></div></dl>
    <span class="track" role="img" aria-label=${job.trials_told}><i style=${{ width: `${done * 100}%` }}></i></span>
    <p class="quiet foot"><span>${job.owner}</span><span>${when(job.created_at)}</span></p></li>`;
}

function Evaluation({ job }) {
  const what = job.error?.code === "damaged" ? job.error.message : job.request && `evaluation · ${plural(job.request.prompts.length, "prompt")} · target ${job.request.target}`;
  const done = job.answers_wanted ? job.answers / job.answers_wanted : 0;
  const said = `${count(job.answers)} of ${count(job.answers_wanted)} answers`;
  return html`<li class="card job"><div class="job-name">
      <h2><${Link} href=${jobAddress(job.id)}>${job.name}<//></h2><${Status} status=${job.status} position=${job.queue_position} />
      ${job.passed === false && html`<span class="badge note">below the least score</span>`}
      ${job.paused && html`<span class="badge note">paused</span>`}</div>
    <p class="quiet clip">${what}</p>
    <dl class="figures">
      ${job.scores.slice(0, 4).map((one) => html`<div key=${one.prompt}><dt>${one.prompt}</dt><dd>${score(one.mean)}</dd></div>`)}
      <div><dt>Answers</dt><dd>${count(job.answers)}/${count(job.answers_wanted)}</dd></div>
      <div><dt>In flight</dt><dd>${count(job.in_flight)}</dd></div></dl>
    <span class="track" role="img" aria-label=${said}><i style=${{ width: `${done * 100}%` }}></i></span>
    <p class="quiet foot"><span>${job.owner}</span><span>${when(job.created_at)}</span></p></li>`;
}

const score = (mean) => (mean === null ? "–" : mean.toFixed(3));

/** The best dev accuracy of each task, as those of two tasks cannot be compared. An old job has one for all tasks, which is left out. */
function bestOnDev(job) {
  const tasks = Object.entries(job.best_dev_accuracy_by_task);
  if (tasks.length > 1) return tasks.map(([task, accuracy]) => [`Best on dev, ${task}`, accuracy]);
  return (job.request?.tasks.length || 1) > 1 && !tasks.length ? [] : [["Best on dev", job.best_dev_accuracy]];
}
