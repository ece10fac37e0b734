// The best prompt of each task, and the downloads: the prompts in five formats, the report, the tables.
import { html, useState } from "/assets/dom.js";
import { apiKey, download, url } from "/assets/api.js";
import { announce } from "/assets/frame.js";
import { Verdict } from "/assets/parts/marks.js";
import { Problem } from "/assets/parts/problem.js";
import { PromptText } from "/assets/parts/prompt.js";
import { Link, jobAddress } from "/assets/router.js";
import { OVER, interval, plural, share } from "/assets/wording.js";

const FORMATS = [["promptray", "promptray"], ["openai", "OpenAI messages"], ["dspy", "DSPy state"], ["mlflow", "MLflow prompt"], ["markdown", "Markdown"]];
const TABLES = ["trials.parquet", "candidates.parquet", "costs.parquet", "failures.parquet", "settings.yaml"];

/** `bests`: the best prompt of each task. */
export function BestPrompts({ job, bests }) {
  const over = OVER.includes(job.status);
  const [problem, setProblem] = useState(null);
  const [form, setForm] = useState("openai");
  const save = (parts, query, name) => {
    setProblem(null);
    download(url(["optimizations", job.id, ...parts], query), name).then((saved) => announce(`Saved ${saved}.`), setProblem);
  };
  return html`<section class="card best" aria-labelledby="best"><h2 id="best">${bests.length > 1 ? "Best prompt of each task" : "Best prompt"}</h2>
    ${!bests.length && html`<p class="empty">None yet: no trial has finished a round.</p>`}
    ${bests.map((best) => html`<div key=${best.task} class="best-of-task"><${Headline} best=${best} job=${job} alone=${bests.length === 1} />
      <details><summary>Show prompt</summary><${PromptText} text=${best.text} examples=${best.worked_examples} /></details>
      <div class="buttons"><button class="primary" aria-label=${bests.length > 1 ? `Download prompt of ${best.task}` : undefined}
        onClick=${() => save(["best"], { format: form, trial: best.trial }, `best.${form}`)}>Download prompt</button>
        <${Copy} best=${best} task=${bests.length > 1 ? best.task : ""} /></div></div>`)}
    ${bests.length > 0 && html`<div class="buttons"><label for="form" class="inline">As</label>
      <select id="form" value=${form} onChange=${(event) => setForm(event.target.value)}>${FORMATS.map(([key, name]) => html`<option key=${key} value=${key}>${name}</option>`)}</select></div>
      ${bests.length > 1 && html`<p class="quiet">Accuracies of two tasks are not compared.</p>`}`}
    ${over && html`<div class="buttons">
      <button onClick=${() => save(["report"], {}, `${job.name}-report.html`)}>Report</button>
      ${!apiKey() && html`<a class="button" href=${url(["optimizations", job.id, "report"])} target="_blank" rel="noopener">Open report</a>`}
      ${TABLES.map((name) => html`<button key=${name} onClick=${() => save(["files", name], {}, name)}>${name}</button>`)}</div>`}
    ${problem && html`<${Problem} error=${problem} />`}</section>`;
}

function Headline({ best, job, alone }) {
  const tested = best.test_accuracy !== null;
  const [value, low, high, items] = tested ? [best.test_accuracy, best.test_low, best.test_high, best.test_items] : [best.dev_accuracy, best.dev_low, best.dev_high, best.dev_items];
  const kind = tested ? best.test_interval_kind : best.dev_interval_kind;
  const spread = low === null ? "" : `95 % ${kind ? `${kind} ` : ""}interval ${interval(low, high)} on ${plural(items, `${tested ? "test" : "dev"} item`)}`;
  return html`${!alone && html`<h3>${best.task}</h3>`}<p class="figure">${share(value)} <small>accuracy on the ${tested ? "test" : "dev"} split${spread && `, ${spread}`}${tested && best.seed_prompt_test_accuracy !== null ? `; baseline ${share(best.seed_prompt_test_accuracy)} on the same` : ""}</small></p>
    <p class="quiet"><${Link} href=${jobAddress(job.id, "lineage", { trial: best.trial })}>${best.trial}<//> ${best.verdict && html`<${Verdict} text=${best.verdict} />`}
      ${tested && html`<br />selected by dev accuracy: ${share(best.dev_accuracy)}${best.dev_items ? ` on ${plural(best.dev_items, "item")}` : ""}`}</p>
    ${best.form && html`<p class="quiet">${best.form}</p>`}`;
}

/** Copies the prompt's text; without a clipboard there is no button. */
function Copy({ best, task }) {
  if (!navigator.clipboard) return "";
  const without = best.worked_examples.length ? `, without its ${plural(best.worked_examples.length, "worked example")}: the download has them` : "";
  const copy = () => navigator.clipboard.writeText(best.text).then(() => announce(`Copied${without}.`), () => announce("The browser does not allow copying."));
  return html`<button onClick=${copy} aria-label=${task ? `Copy text of ${task}` : undefined} title=${`The prompt's text${without}`}>Copy text</button>`;
}
