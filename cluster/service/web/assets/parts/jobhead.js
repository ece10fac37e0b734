// The head of every view of a job: its name, status, tabs, cancel and resume.
import { html, useState } from "/assets/dom.js";
import { post, url } from "/assets/api.js";
import { announce } from "/assets/frame.js";
import { Link, jobAddress } from "/assets/router.js";
import { Status } from "/assets/parts/marks.js";
import { Problem } from "/assets/parts/problem.js";
import { OVER, lasting, plural, when } from "/assets/wording.js";

const PARTS = [["", "Overview"], ["lineage", "Lineage"], ["candidates", "Candidates"], ["compare", "Compare"]];

function inFlight(job) {
  if (job.in_flight === null) return " · calls in flight unknown";
  return job.in_flight ? ` · ${plural(job.in_flight, "call")} in flight` : "";
}

export function JobHead({ job, part, reload, query = {} }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const run = async (verb) => {
    setBusy(true);
    setProblem(null);
    try {
      const now = await post(url(["optimizations", job.id, verb]));
      announce(`The job is ${now.status}.`);
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
    reload();
  };
  const mayCancel = !OVER.includes(job.status) && job.status !== "cancelling";
  const mayResume = ["failed", "cancelled"].includes(job.status) && job.error?.code !== "damaged";
  const spent = job.started_at && (job.finished_at || Date.now() / 1000) - job.started_at;
  return html`<div class="job-head">
    <p class="crumbs"><${Link} href="/">Jobs<//> / <span>${job.id}</span></p>
    <div class="title"><h1 tabindex="-1">${job.name}</h1><${Status} status=${job.status} position=${job.queue_position} />
      <span class="quiet">${job.trials_told}${inFlight(job)}${job.runs > 1 ? ` · started ${job.runs} times` : ""}</span>
      <span class="spring"></span>
      ${mayCancel && html`<button disabled=${busy} onClick=${() => run("cancel")}>Cancel</button>`}
      ${mayResume && html`<button class="primary" disabled=${busy} onClick=${() => run("resume")}>Resume</button>`}</div>
    ${job.request?.description && html`<p class="lead">${job.request.description}</p>`}
    <p class="quiet">${job.request && html`Target <b>${job.request.target}</b> · optimizer <b>${job.request.optimizer}</b> · `}${job.owner} · ${when(job.created_at)}${spent ? ` · ${lasting(spent)}` : ""}</p>
    ${job.paused && html`<div class="notice note">Paused: ${job.paused}</div>`}
    ${job.error && html`<${Problem} error=${job.error} />`}${problem && html`<${Problem} error=${problem} />`}
    <nav class="tabs" aria-label="Parts of the job"><ul>${PARTS.map(([key, name]) => html`<li key=${key}>
      <${Link} href=${jobAddress(job.id, key, key ? query : {})} aria-current=${key === part ? "page" : undefined}>${name}<//></li>`)}</ul></nav></div>`;
}
