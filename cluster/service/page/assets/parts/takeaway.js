// The best prompt, and everything to take away: the prompt in five forms, the report, the tables.
import { html, useState } from "/assets/dom.js";
import { apiKey, download, url } from "/assets/api.js";
import { announce } from "/assets/frame.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Accuracy, Verdict } from "/assets/parts/marks.js";
import { Problem } from "/assets/parts/problem.js";
import { OVER, share } from "/assets/wording.js";

const FORMS = [["promptray", "promptray"], ["openai", "OpenAI messages"], ["dspy", "DSPy state"], ["mlflow", "MLflow prompt"], ["markdown", "Markdown"]];
const TABLES = ["trials.parquet", "candidates.parquet", "costs.parquet", "failures.parquet", "settings.yaml"];

export function Takeaway({ job, ready }) {
  const over = OVER.includes(job.status);
  const { data: best } = useAnswer(ready ? url(["optimizations", job.id, "best"]) : null, over ? 0 : 5000);
  const [problem, setProblem] = useState(null);
  const [form, setForm] = useState("openai");
  const fetchIt = (parts, query, name) => {
    setProblem(null);
    download(url(["optimizations", job.id, ...parts], query), name).then((saved) => announce(`Saved ${saved}.`), setProblem);
  };
  return html`<section class="card best" aria-labelledby="best"><h2 id="best">Best prompt</h2>
    ${!best && html`<p class="empty">None yet: no trial has finished a round.</p>`}
    ${best && html`<${Headline} best=${best} />
      <details><summary>Read it</summary><div class="words">${best.text}</div></details>
      <div class="buttons"><label for="form" class="unseen">Form of the prompt</label>
        <select id="form" value=${form} onChange=${(event) => setForm(event.target.value)}>${FORMS.map(([key, name]) => html`<option key=${key} value=${key}>${name}</option>`)}</select>
        <button class="primary" onClick=${() => fetchIt(["best"], { format: form }, `best.${form}`)}>Download prompt</button></div>`}
    ${over && html`<div class="buttons">
      <button onClick=${() => fetchIt(["report"], {}, `${job.name}-report.html`)}>Report</button>
      ${!apiKey() && html`<a class="button" href=${url(["optimizations", job.id, "report"])} target="_blank" rel="noopener">Open report</a>`}
      ${TABLES.map((name) => html`<button key=${name} onClick=${() => fetchIt(["files", name], {}, name)}>${name}</button>`)}</div>`}
    ${problem && html`<${Problem} error=${problem} />`}</section>`;
}

function Headline({ best }) {
  const tested = best.test_accuracy !== null;
  return html`<p class="figure">${share(tested ? best.test_accuracy : best.dev_accuracy)} <small>on the ${tested ? "test" : "dev"} split${tested && best.seed_prompt_test_accuracy !== null ? `, seed prompt ${share(best.seed_prompt_test_accuracy)}` : ""}</small></p>
    ${tested && html`<p><${Accuracy} value=${best.test_accuracy} low=${best.test_low} high=${best.test_high} items=${best.test_items} /></p>`}
    <p class="quiet">${best.trial} ${best.verdict && html`<${Verdict} text=${best.verdict} />`}</p>
    ${best.form && html`<p class="quiet">${best.form}</p>`}`;
}
