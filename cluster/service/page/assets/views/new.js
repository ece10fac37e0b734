// The form that starts a job: data, models, strategies, budget, estimate.
import { html, useEffect, useMemo, useState } from "/assets/vendor.js";
import { ApiError, get, post, upload } from "/assets/api.js";
import { accuracy, bytes, count, duration, money, plural, title } from "/assets/format.js";
import { go } from "/assets/routing.js";
import { Trouble } from "/assets/parts.js";

const FIRST = ["apo", "abo"];
const ROWS = 5;

export function New({ say }) {
  const [catalogue, setCatalogue] = useState(null);
  const [files, setFiles] = useState([]);
  const [problem, setProblem] = useState(null);
  const [form, setForm] = useState(null);
  useEffect(() => {
    document.title = "New optimization · promptray";
    Promise.all([get("/v1/catalogue"), get("/v1/files?limit=100")]).then(([known, stored]) => {
      setCatalogue(known);
      setFiles(stored.data);
      setForm(blank(known));
    }, setProblem);
  }, []);
  if (!form) return html`<h1>New optimization</h1>${problem ? html`<${Trouble} problem=${problem} />` : html`<p class="quiet">Loading …</p>`}`;
  const set = (changes) => setForm((before) => ({ ...before, ...changes }));
  return html`
    <h1>New optimization</h1>
    <form class="new" onSubmit=${(event) => event.preventDefault()}>
      <${Data} form=${form} set=${set} catalogue=${catalogue} files=${files} onStored=${(file) => { setFiles([file, ...files]); set({ source: `file:${file.id}` }); }} />
      <${Models} form=${form} set=${set} catalogue=${catalogue} />
      <${Strategies} form=${form} set=${set} catalogue=${catalogue} />
      <${Budget} form=${form} set=${set} />
      <${Begin} form=${form} set=${set} say=${say} />
    </form>`;
}

function blank({ defaults, targets, optimizers, strategies, generated_tasks }) {
  const label = (offered, wanted) => (offered.some((model) => model.label === wanted) ? wanted : offered[0]?.label || "");
  return {
    name: "optimization", source: `task:${Object.keys(generated_tasks)[0] || ""}`, scorer: "", seed_instruction: "",
    target: label(targets, defaults.target), optimizer: label(optimizers, defaults.optimizer),
    strategies: FIRST.filter((name) => name in strategies), seeds: "0", ...defaults.sizes,
    target_calls: defaults.budget?.target_calls ?? "", optimizer_calls: defaults.budget?.optimizer_calls ?? "", money: "",
    concurrency: defaults.concurrency ?? 4,
  };
}

const whole = (text) => (text === "" || text === null ? null : Number(text));

/** The form as the API's OptimizationRequest. */
function requestOf(form) {
  const [kind, name] = [form.source.slice(0, 4), form.source.slice(5)];
  const task = { [kind === "file" ? "file" : "generated"]: name, scorer: form.scorer || null, seed_instruction: form.seed_instruction || null };
  return {
    name: form.name, tasks: [task], target: form.target, optimizer: form.optimizer, strategies: form.strategies,
    seeds: String(form.seeds).split(/[\s,]+/).filter(Boolean).map(Number), concurrency: whole(form.concurrency) ?? 4,
    sizes: { train: whole(form.train), dev: whole(form.dev), test: whole(form.test) },
    budget: { target_calls: whole(form.target_calls), optimizer_calls: whole(form.optimizer_calls), money: whole(form.money) },
  };
}

const Field = ({ label, hint, children }) => html`<label class="field"><span>${label}</span>${children}${hint ? html`<span class="quiet">${hint}</span>` : null}</label>`;
const Text = ({ form, set, name, label, hint, ...more }) => html`
  <${Field} label=${label} hint=${hint}><input value=${form[name]} onInput=${(event) => set({ [name]: event.target.value })} ...${more} /><//>`;
const Whole = (given) => html`<${Text} type="number" min="1" step="1" inputmode="numeric" ...${given} />`;

function Data({ form, set, catalogue, files, onStored }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const stored = files.find((file) => form.source === `file:${file.id}`);
  const send = async (file) => {
    if (!file) return;
    setBusy(true);
    setProblem(null);
    try {
      onStored(await upload(file));
    } catch (trouble) {
      setProblem(trouble);
    }
    setBusy(false);
  };
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    send(event.dataTransfer.files[0]);
  };
  return html`
    <fieldset class="card"><legend>Task</legend>
      <${Field} label="Examples with answers"><select value=${form.source} onChange=${(event) => set({ source: event.target.value })}>
        <optgroup label="Generated tasks">${Object.keys(catalogue.generated_tasks).map((name) => html`<option value=${`task:${name}`}>${name}</option>`)}</optgroup>
        ${files.length ? html`<optgroup label="Uploaded">${files.map((file) => html`<option value=${`file:${file.id}`}>${file.filename} (${plural(file.rows, "row")})</option>`)}</optgroup>` : null}
      </select><//>
      <div class=${`drop ${over ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
          onDragLeave=${() => setOver(false)} onDrop=${dropped}>
        <label>Upload a file <input type="file" accept=".jsonl,.json,.csv,.parquet" disabled=${busy} onChange=${(event) => send(event.target.files[0])} /></label>
        <p class="quiet">${busy ? "It is being checked …" : "or drop it here: .jsonl, .csv, .parquet, or BIG-bench .json"}</p>
      </div>
      <${Trouble} problem=${problem} />
      ${stored ? html`<${Preview} file=${stored} />` : html`<p class="quiet">${catalogue.generated_tasks[form.source.slice(5)] || ""}</p>`}
      <details><summary>Scorer, first prompt, splits</summary>
        <${Field} label="Scorer"><select value=${form.scorer} onChange=${(event) => set({ scorer: event.target.value })}>
          <option value="">as the examples call for${stored ? ` (${stored.scorer})` : ""}</option>
          ${Object.entries(catalogue.scorers).map(([name, said]) => html`<option value=${name}>${name}: ${said}</option>`)}</select><//>
        <${Field} label="First prompt" hint="Empty: the default."><textarea rows="3" value=${form.seed_instruction} onInput=${(event) => set({ seed_instruction: event.target.value })}></textarea><//>
        <div class="row">${["train", "dev", "test"].map((name) => html`<${Whole} form=${form} set=${set} name=${name} label=${`${name} split`} />`)}</div>
      </details>
    </fieldset>`;
}

const Preview = ({ file }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label="First rows"><table>
    <caption>${file.filename}: ${plural(file.rows, "row")}, ${bytes(file.bytes)}, scorer ${file.scorer}</caption>
    <thead><tr><th scope="col">input</th><th scope="col">answers</th></tr></thead>
    <tbody>${file.preview.slice(0, ROWS).map((row) => html`<tr><td class="lines clamp">${row.input}</td><td>${row.answers.join(" / ")}</td></tr>`)}</tbody>
  </table></div>`;

function Models({ form, set, catalogue }) {
  const choice = (name, label, offered) => html`
    <${Field} label=${label} hint=${offered.find((model) => model.label === form[name])?.stand_in ? "A stand-in for a large model." : ""}>
      <select value=${form[name]} onChange=${(event) => set({ [name]: event.target.value })}>
        ${offered.map((model) => html`<option>${model.label}</option>`)}</select><//>`;
  return html`<fieldset class="card"><legend>Models</legend><div class="row top-aligned">
    ${choice("target", "Target model: its prompt gets better", catalogue.targets)}
    ${choice("optimizer", "Optimizer model: reflects and rewrites", catalogue.optimizers)}</div></fieldset>`;
}

function Strategies({ form, set, catalogue }) {
  const toggle = (name) => set({ strategies: form.strategies.includes(name) ? form.strategies.filter((one) => one !== name) : [...form.strategies, name] });
  return html`
    <fieldset class="card"><legend>Strategies</legend>
      ${Object.entries(catalogue.strategies).map(([name, said]) => html`
        <label class="choice"><input type="checkbox" checked=${form.strategies.includes(name)} onChange=${() => toggle(name)} />
          <span><b>${title(name)}</b> <span class="quiet">${said}</span></span></label>`)}
      <${Text} form=${form} set=${set} name="seeds" label="Seeds" hint="Each strategy is run once with each seed." />
    </fieldset>`;
}

const Budget = ({ form, set }) => html`
  <fieldset class="card"><legend>Budget of each trial</legend><div class="row top-aligned">
    <${Whole} form=${form} set=${set} name="target_calls" label="target calls" />
    <${Whole} form=${form} set=${set} name="optimizer_calls" label="optimizer calls" />
    <${Text} form=${form} set=${set} name="money" label="money" type="number" min="0" step="any" hint="Needs models with prices." />
    <${Whole} form=${form} set=${set} name="concurrency" label="trials at once" /></div></fieldset>`;

function Begin({ form, set, say }) {
  const [estimate, setEstimate] = useState(null);
  const [probe, setProbe] = useState(true);
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState(null);
  // The same request sent twice, after a lost answer, is one job; a changed one is another.
  const key = useMemo(() => crypto.randomUUID?.() || String(Math.random()), [form]);
  const doing = (name, work) => async () => {
    setBusy(name);
    setProblem(null);
    try {
      if (!form.strategies.length) throw new ApiError(0, "Choose at least one strategy.");
      await work();
    } catch (trouble) {
      setProblem(trouble);
    }
    setBusy("");
  };
  const reckon = doing("estimate", async () => setEstimate(await post(`/v1/optimizations/estimate?probe=${probe}`, requestOf(form))));
  const start = doing("start", async () => {
    const job = await post("/v1/optimizations", requestOf(form), { "Idempotency-Key": key });
    say(`${job.name} is ${job.status}.`);
    go(`/jobs/${encodeURIComponent(job.id)}`);
  });
  return html`
    <fieldset class="card"><legend>Start</legend>
      <${Text} form=${form} set=${set} name="name" label="Name" pattern="[A-Za-z0-9_.\\-]+" maxlength="64" />
      ${estimate ? html`<${Estimated} found=${estimate} />` : null}
      <${Trouble} problem=${problem} />
      <div class="row"><button class="main" disabled=${busy !== ""} onClick=${start}>${busy === "start" ? "Starting …" : "Start the optimization"}</button>
        <button disabled=${busy !== ""} onClick=${reckon}>${busy === "estimate" ? "Asking …" : "Estimate"}</button>
        <label class="key"><input type="checkbox" checked=${probe} onChange=${() => setProbe(!probe)} />ask the models whether it can pay</label></div>
    </fieldset>`;
}

const Estimated = ({ found }) => html`
  <div class="estimate" role="status"><h3>${found.can_pay === null ? "What it may cost" : found.can_pay ? "It can pay" : "It can hardly pay"}</h3>
    <p>${found.sentence}</p>
    <dl class="figures">${[["trials", count(found.trials)], ["target calls", count(found.target_calls)], ["optimizer calls", count(found.optimizer_calls)],
      ["tokens", count(found.tokens)], ["money", money(found.money)], ["time", duration(found.wall_s)]].map(([name, value]) => html`
      <div class="figure"><dt>${name}, at most</dt><dd><span class="value">${value}</span></dd></div>`)}</dl>
    ${found.tasks.filter((task) => task.sentence).map((task) => html`
      <p><b>${task.task}</b>${task.seed_accuracy === null ? "" : ` (first prompt ${accuracy(task.seed_accuracy)}, ceiling ${accuracy(task.ceiling)})`}: ${task.sentence}</p>`)}
  </div>`;
