// What the views of one trial share: the job's head, the choice of the trial, its candidates.
import { html, useEffect, useMemo, useRef } from "/assets/dom.js";
import { url } from "/assets/api.js";
import { go, jobAddress } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { JobHead } from "/assets/parts/jobhead.js";
import { Problem } from "/assets/parts/problem.js";
import { OVER, plural } from "/assets/wording.js";

const EVERY_MS = 4000;

const isRunning = (job) => !job || !OVER.includes(job.status);

/** {job, trials, trial, winners, candidates, best, error, reload}. Without a trial in the address it is the one with the best prompt of
 * the first task. A running job is reloaded periodically. */
export function useTrial(id, query) {
  const job = useAnswer(url(["optimizations", id]), EVERY_MS, isRunning);
  const over = job.data && OVER.includes(job.data.status);
  const trials = useAnswer(url(["optimizations", id, "trials"]), over === false ? EVERY_MS : 0);
  const bests = useAnswer(url(["optimizations", id, "best", "tasks"]), over === false ? EVERY_MS : 0);
  const winners = bests.data ? bests.data.data.map((one) => one.trial) : bests.error ? [] : null;
  const known = trials.data?.data || [];
  const named = known.find((one) => one.id === query.get("trial"));
  // No trial is shown before the winner is known; an opened trial stays when a later round has another winner.
  const opened = useRef(null);
  if (winners && known.length && !known.some((one) => one.id === opened.current)) opened.current = winners[0] || known.find((one) => one.candidates)?.id || known[0].id;
  const trial = named || known.find((one) => one.id === opened.current);
  const tree = useTree(id, trial?.id, over === false ? EVERY_MS : 0);
  return { ...tree, job: job.data, trials: known, trial, winners: winners || [], reload: job.reload, error: job.error || trials.error || tree.error };
}

/** The candidates of one trial; none for no trial. */
export function useTree(id, trial, everyMs = 0) {
  const { data, error } = useAnswer(trial ? url(["optimizations", id, "tree"], { trial }) : null, everyMs);
  const candidates = useMemo(() => (data ? unfolded(data) : []), [data]);
  return { candidates, best: data?.best, loaded: Boolean(data), error };
}

/** The columns as rows. */
function unfolded(tree) {
  return tree.id.map((id, place) => ({
    id, place, parent: tree.parent[place], operator: tree.operator[place], round: tree.round[place], changed_step: tree.changed_step[place],
    dev_accuracy: tree.dev_accuracy[place], dev_items: tree.dev_items[place], incomplete: tree.incomplete[place], kept: tree.kept[place], gain: tree.gain[place],
  }));
}

export function TrialFrame({ part, title, id, found, children }) {
  const { job, trials, trial, winners, error, reload } = found;
  useEffect(() => (document.title = `${title} · ${job?.name || "job"} · promptray`), [job?.name]);
  const choose = (event) => go(jobAddress(id, part, { trial: event.target.value }));
  if (!job) return error ? html`<h1 tabindex="-1">${title}</h1><${Problem} error=${error} />` : html`<p class="quiet">Loading …</p>`;
  return html`<${JobHead} job=${job} part=${part} reload=${reload} query=${{ trial: trial?.id }} />
    ${error && html`<${Problem} error=${error} />`}
    <div class="title"><h2>${title}</h2><span class="spring"></span><label for="trial" class="inline">Trial</label>
      <select id="trial" value=${trial?.id} onChange=${choose}>${trials.map((one) => html`<option key=${one.id} value=${one.id}>${one.id} (${plural(one.candidates, "candidate")})${winners.includes(one.id) ? ` ★ best of ${one.task}` : ""}</option>`)}</select></div>
    ${children}`;
}
