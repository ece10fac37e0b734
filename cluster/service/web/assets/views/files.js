// Uploaded data sets: the list, the first rows of each, download and delete.
import { html, useEffect, useState } from "/assets/dom.js";
import { download, remove, url } from "/assets/api.js";
import { Link } from "/assets/router.js";
import { useAnswer } from "/assets/parts/loading.js";
import { Empty, Problem } from "/assets/parts/problem.js";
import { Rows } from "/assets/parts/rows.js";
import { count, size, when } from "/assets/wording.js";

export function View() {
  const { data, error, reload } = useAnswer(url(["files"], { limit: 100 }));
  const [problem, setProblem] = useState(null);
  useEffect(() => (document.title = "Data · promptray"), []);
  const deleteFile = (file) => confirm(`Delete ${file.filename}? Jobs that were started with it keep their results.`)
    && remove(url(["files", file.id])).then(reload, setProblem);
  return html`<div class="title"><h1 tabindex="-1">Data</h1><span class="spring"></span><${Link} href="/new" class="button primary">Upload for a new job<//></div>
    ${(error || problem) && html`<${Problem} error=${error || problem} />`}
    ${data && !data.data.length && html`<${Empty}>No data set yet. A new job needs one, or a generated task.<//>`}
    ${data?.data.map((file) => html`<section key=${file.id} class="card" aria-label=${file.filename}>
      <div class="title"><h2>${file.filename}</h2><span class="quiet">${file.error || html`${count(file.rows)} rows · ${size(file.bytes)} · scorer ${file.scorer} · ${when(file.created_at)}`}</span>
        <span class="spring"></span>${!file.error && html`<button onClick=${() => download(url(["files", file.id, "content"]), file.filename).catch(setProblem)}>Download</button>`}
        <button onClick=${() => deleteFile(file)}>Delete</button></div>
      ${!file.error && html`<${Rows} rows=${file.preview} caption=${`First rows of ${file.filename}`} />`}</section>`)}`;
}
