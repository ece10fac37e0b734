// The form for a new job: data, models, strategies, budget; its estimate and headroom; start.
import { html, useEffect, useState } from "/assets/dom.js";
import { post, upload, url } from "/assets/api.js";
import { announce } from "/assets/frame.js";
import { go, jobAddress } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Problem } from "/assets/parts/problem.js";
import { Rows } from "/assets/parts/rows.js";
import { EstimateCard } from "/assets/parts/estimate.js";
import { Models, Numbers, Strategies } from "/assets/parts/choices.js";
import { FIRST, requestOf, withDefaults } from "/assets/parts/jobrequest.js";
import { count, size } from "/assets/wording.js";

export function View() {
  const catalogue = useAnswer(url(["catalogue"]));
  const [draft, setDraft] = useState(FIRST);
  const [estimate, setEstimate] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState("");
  const change = (part) => (setDraft((before) => ({ ...before, ...part })), setEstimate(null));
  useEffect(() => (document.title = "New job · promptray"), []);
  useEffect(() => catalogue.data && setDraft((before) => withDefaults(before, catalogue.data)), [catalogue.data]);
  const during = async (name, work) => {
    setBusy(name);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      setProblem(error);
    }
    setBusy("");
  };
  const estimateCost = (probe) => during(probe ? "probe" : "estimate", async () => {
    const found = await post(url(["optimizations", "estimate"], { probe }), requestOf(draft));
    setEstimate(found);
    announce(found.sentence);
  });
  const start = (event) => {
    event.preventDefault();
    during("start", async () => go(jobAddress((await post(url(["optimizations"]), requestOf(draft))).id)));
  };
  if (!catalogue.data) return html`<h1 tabindex="-1">New job</h1>${catalogue.error ? html`<${Problem} error=${catalogue.error} />` : html`<p class="quiet">Loading …</p>`}`;
  return html`<h1 tabindex="-1">New job</h1><form class="new" onSubmit=${start}>
    <${Data} draft=${draft} change=${change} catalogue=${catalogue.data} />
    <${Models} draft=${draft} change=${change} catalogue=${catalogue.data} />
    <${Strategies} draft=${draft} change=${change} catalogue=${catalogue.data} />
    <${Numbers} draft=${draft} change=${change} />
    <section class="card sticky" aria-label="Estimate and start">
      ${problem && html`<${Problem} error=${problem} />`}
      ${estimate && html`<${EstimateCard} estimate=${estimate} />`}
      <div class="buttons"><button type="button" disabled=${busy} onClick=${() => estimateCost(false)}>${busy === "estimate" ? "Estimating …" : "Estimate"}</button>
        <button type="button" disabled=${busy} onClick=${() => estimateCost(true)} title="Calls the models, at the cost of a promptray check">${busy === "probe" ? "Checking headroom …" : "Check headroom"}</button>
        <span class="spring"></span><button class="primary" type="submit" disabled=${busy}>${busy === "start" ? "Starting …" : "Start"}</button></div></section></form>`;
}

const guessed = (file) => ({ input: file?.guess?.input || "", target_column: file?.guess?.target || "" });

function Data({ draft, change, catalogue }) {
  const files = useAnswer(url(["files"], { limit: 100 }));
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const known = files.data?.data || [];
  const sent = draft.stored || known.find((file) => file.id === draft.file);
  const uploadFile = async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    setBusy(true);
    setProblem(null);
    change({ file: "", stored: null });
    try {
      const stored = await upload(file);
      change({ source: "file", file: stored.id, stored, ...guessed(stored), label: stored.filename.replace(/\.\w+$/, "") });
      announce(`${stored.filename}: ${stored.rows} rows.`);
      files.reload();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<fieldset class="card"><legend>Data</legend>
    <div class="chips" role="radiogroup" aria-label="Source of the data">
      <label><input type="radio" name="source" checked=${draft.source === "file"} onChange=${() => change({ source: "file" })} /> A data set</label>
      <label><input type="radio" name="source" checked=${draft.source === "generated"} onChange=${() => change({ source: "generated" })} /> A generated task</label></div>
    ${draft.source === "generated" ? html`<label for="generated">Task</label><select id="generated" value=${draft.generated} onChange=${(event) => change({ generated: event.target.value })}>
        ${Object.keys(catalogue.generated_tasks).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
        <p class="quiet">${catalogue.generated_tasks[draft.generated]}</p>`
      : html`<div class="pair"><div><label for="upload">Upload (.jsonl, .csv, .tsv, .parquet, .json)</label><input id="upload" type="file" accept=".jsonl,.csv,.tsv,.parquet,.json" disabled=${busy} onChange=${uploadFile} /></div>
        <div><label for="file">Existing dataset</label><select id="file" value=${draft.file} onChange=${(event) => change({ file: event.target.value, stored: null, ...guessed(known.find((file) => file.id === event.target.value)) })}>
          <option value="">none</option>${draft.stored && !known.some((file) => file.id === draft.file) && html`<option value=${draft.file}>${draft.stored.filename}</option>`}
          ${known.map((file) => html`<option key=${file.id} value=${file.id}>${file.filename} (${count(file.rows)} rows)</option>`)}</select></div></div>
        ${busy && html`<p class="quiet">Checking the rows …</p>`}
        ${problem && html`<${Problem} error=${problem} />`}
        ${sent && html`<p><b>${sent.filename}</b> <span class="quiet">${count(sent.rows)} rows · ${size(sent.bytes)} · scorer ${sent.scorer}</span></p><${Rows} rows=${sent.preview} caption="First rows" />
          ${sent.columns?.length > 0 && html`<p class="quiet">Its columns: ${sent.columns.join(", ")}. Name those of the input and the target below.</p>`}`}
        ${(sent?.columns?.length > 0 || draft.input || draft.target_column) && html`<div class="pair">
          <div><label for="input-column">Input: a column, or a template such as ${"{{question}} {{context}}"}</label><input id="input-column" value=${draft.input} onInput=${(event) => change({ input: event.target.value })} /></div>
          <div><label for="target-column">Target: a column</label><input id="target-column" value=${draft.target_column} onInput=${(event) => change({ target_column: event.target.value })} /></div></div>`}`}
    <details><summary>Task options</summary><label for="task-description">What the task is, for the optimizer model</label><input id="task-description" value=${draft.task} onInput=${(event) => change({ task: event.target.value })} /><div class="pair">
      <div><label for="scorer">Scorer</label><select id="scorer" value=${draft.scorer} onChange=${(event) => change({ scorer: event.target.value })}>
        <option value="">Auto-detect</option>${Object.entries(catalogue.scorers).map(([name, text]) => html`<option key=${name} value=${name}>${name}: ${text}</option>`)}</select></div>
      <div><label for="seed-instruction">Baseline prompt (empty: "Let's think step by step.")</label><textarea id="seed-instruction" rows="3" value=${draft.seed_instruction} onInput=${(event) => change({ seed_instruction: event.target.value })}></textarea></div></div></details></fieldset>`;
}
