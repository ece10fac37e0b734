// The lineage of a trial's prompts as a tree, and the selected candidate.
import { html } from "/assets/dom.js";
import { go, jobAddress } from "/assets/router.js";
import { CandidatePanel } from "/assets/parts/candidate.js";
import { TrialFrame, useTrial } from "/assets/parts/trialview.js";
import { Tree } from "/assets/parts/tree.js";

export function View({ id, query }) {
  const found = useTrial(id, query);
  const { candidates, best, trial } = found;
  const picked = candidates.some((one) => one.id === query.get("candidate")) ? query.get("candidate") : best;
  const pick = (candidate) => go(jobAddress(id, "lineage", { trial: trial.id, candidate }), true);
  return html`<${TrialFrame} part="lineage" title="Lineage" id=${id} found=${found}>
    <p class="quiet">From the baseline at the left to its descendants. Each box is a prompt with its dev accuracy and its gain over its parent on the dev items that both were measured on, ★ the best; the line to it names the operator and the step. Arrow keys move, Enter chooses.</p>
    ${found.loaded && !candidates.length && html`<p class="empty">No round is done yet.</p>`}
    <div class="split"><section class="card flush" aria-label="Tree"><${Tree} key=${trial?.id} candidates=${candidates} best=${best} picked=${picked} pick=${pick} /></section>
      <aside class="card" aria-label="Chosen candidate">${trial && html`<${CandidatePanel} id=${id} trial=${trial.id} candidate=${picked} best=${best} />`}</aside></div>
  <//>`;
}
