// All candidates of a trial in a sortable table.
import { html, useMemo } from "/assets/dom.js";
import { go, jobAddress } from "/assets/router.js";
import { CandidatePanel } from "/assets/parts/candidate.js";
import { Table } from "/assets/parts/table.js";
import { TrialFrame, useTrial } from "/assets/parts/trialview.js";
import { operatorName, plural, share, short, signed } from "/assets/wording.js";

export function View({ id, query }) {
  const found = useTrial(id, query);
  const { candidates, best, trial } = found;
  const picked = query.get("candidate") || best;
  const pick = (one) => go(jobAddress(id, "candidates", { trial: trial.id, candidate: one.id }), true);
  const columns = useMemo(() => columnsOf(candidates, best, pick), [candidates, best, trial?.id]);
  return html`<${TrialFrame} part="candidates" title=${found.loaded ? plural(candidates.length, "candidate") : "Candidates"} id=${id} found=${found}>
    <div class="split"><section class="card flush" aria-label="Candidates">
      <${Table} rows=${candidates} columns=${columns} caption="Candidates" key=${trial?.id} sort=${{ key: "dev", down: true }} idOf=${(one) => one.id} picked=${picked} pick=${pick} /></section>
      <aside class="card" aria-label="Chosen candidate">${trial && html`<${CandidatePanel} id=${id} trial=${trial.id} candidate=${picked} best=${best} />`}</aside></div>
  <//>`;
}

const columnsOf = (candidates, best, pick) => [
  { key: "id", name: "Candidate", value: (one) => one.place, cell: (one) => html`<button class="linkish" onClick=${() => pick(one)}><code>${short(one.id)}</code></button>${one.id === best && html` <span title="Best">★</span>`}` },
  { key: "dev", name: "Dev accuracy", number: true, value: (one) => one.dev_accuracy, cell: (one) => share(one.dev_accuracy) },
  { key: "items", name: "Dev items", number: true, value: (one) => one.dev_items, cell: (one) => (one.incomplete ? html`<span title="Budget exhausted before it was measured on all dev items">${one.dev_items}, incomplete</span>` : one.dev_items) },
  { key: "gain", name: "Over its parent", number: true, value: (one) => one.gain, cell: (one) => signed(one.gain) },
  { key: "operator", name: "Operator", value: (one) => one.operator, cell: (one) => operatorName(one.operator) + (one.changed_step ? ` ${one.changed_step}` : "") },
  { key: "round", name: "Round", number: true, value: (one) => one.round, cell: (one) => one.round },
  { key: "parent", name: "Parent", cell: (one) => (one.parent === null ? html`<span class="quiet">–</span>` : html`<code>${short(candidates[one.parent].id)}</code>`) },
  { key: "kept", name: "Kept", value: (one) => Number(one.kept), cell: (one) => (one.kept ? "kept" : html`<span class="quiet">no</span>`) },
];
