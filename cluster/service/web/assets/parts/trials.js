// The trials of a job in a table: the status of each, and the comparison of its best prompt with the baseline.
import { html } from "/assets/dom.js";
import { Link, jobAddress } from "/assets/router.js";
import { Accuracy, Status, Verdict } from "/assets/parts/marks.js";
import { Table } from "/assets/parts/table.js";
import { count, share } from "/assets/wording.js";

const KINDS = { refused: ["call refused", "calls refused"], infrastructure: ["call without an answer", "calls without an answer"], empty: ["empty reply", "empty replies"] };

/** Failures that the trial's error does not quote already, the most frequent first. */
const otherFailures = (trial) => trial.failures.filter((failure) => !trial.error.includes(failure.reason.replace(/\.$/, ""))).sort((one, other) => other.calls - one.calls).slice(0, 5);
const inWords = (failure) => `${count(failure.calls)} ${KINDS[failure.kind][failure.calls === 1 ? 0 : 1]} (${failure.model}): ${failure.reason}`;

/** `winners`: the trials with the best prompt of their task. */
export function Trials({ job, trials, winners }) {
  const columns = [
    { key: "trial", name: "Trial", value: (trial) => trial.id, cell: (trial) => html`<span class=${`dot hue-${trial.hue}`} aria-hidden="true"></span><${Link} href=${jobAddress(job.id, "lineage", { trial: trial.id })}>${trial.id}<//>${winners.includes(trial.id) && html` <span title=${`The best prompt of ${trial.task}, by dev accuracy`}>★<span class="unseen"> best of ${trial.task}</span></span>`}${trial.error && html`<br /><span class="bad-ink pre">${trial.error}</span>`}${trial.ending && html`<br /><span class="quiet pre">${trial.ending}</span>`}${otherFailures(trial).map((failure) => html`<br /><span class="quiet pre">${inWords(failure)}</span>`)}` },
    { key: "status", name: "Status", value: (trial) => trial.status, cell: (trial) => html`<${Status} status=${trial.status} />` },
    { key: "dev", name: "Dev accuracy", number: true, value: (trial) => trial.curve.at(-1)?.dev_accuracy, cell: (trial) => html`${share(trial.curve.at(-1)?.dev_accuracy)}${trial.curve.at(-1)?.items ? html` <span class="quiet">n=${trial.curve.at(-1).items}</span>` : ""}` },
    { key: "test", name: "Test accuracy, 95 % interval", value: (trial) => trial.test_accuracy, cell: (trial) => html`<${Accuracy} value=${trial.test_accuracy} low=${trial.test_low} high=${trial.test_high} items=${trial.test_items} kind=${trial.test_interval_kind} />` },
    { key: "seed", name: "Baseline, test", number: true, value: (trial) => trial.seed_prompt_test_accuracy, cell: (trial) => share(trial.seed_prompt_test_accuracy) },
    { key: "verdict", name: "Verdict", value: (trial) => trial.verdict, cell: (trial) => html`<${Verdict} text=${trial.verdict} />` },
    { key: "candidates", name: "Candidates", number: true, value: (trial) => trial.candidates, cell: (trial) => html`<${Link} href=${jobAddress(job.id, "candidates", { trial: trial.id })} aria-label=${`${trial.candidates} candidates of ${trial.id}`}>${count(trial.candidates)}<//>` },
    { key: "calls", name: "Target calls", number: true, value: (trial) => trial.usage.target_calls, cell: (trial) => count(trial.usage.target_calls) },
    { key: "optimizer", name: "Optimizer calls", number: true, value: (trial) => trial.usage.optimizer_calls, cell: (trial) => count(trial.usage.optimizer_calls) },
    { key: "ledger", name: "Cached", number: true, value: (trial) => trial.usage.ledger_hits, cell: (trial) => count(trial.usage.ledger_hits) },
    { key: "repeats", name: "Repeats", number: true, value: (trial) => trial.usage.repeats, cell: (trial) => count(trial.usage.repeats) },
  ];
  return html`<section class="card" aria-labelledby="trials"><h2 id="trials">Trials</h2>
    <${Table} rows=${trials} columns=${columns} caption="Trials" idOf=${(trial) => trial.id} />
    <p class="quiet">Dev: the best prompt after the last round. Test: the same prompt on the test items, on which the baseline was measured too. Verdict: paired test of the two on these items, uncorrected; the report corrects for the number of trials. ★ best prompt of its task by dev accuracy; ties go to more dev items, then to the earlier start. The test split selects nothing.</p></section>`;
}
