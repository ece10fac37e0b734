// Starts the page: the frame, and the view of the address. Each view is a module of its own, loaded when it is first shown.
import { html, render, useEffect, useRef, useState } from "/assets/dom.js";
import { Link, useAddress } from "/assets/router.js";
import { Frame } from "/assets/frame.js";

const VIEWS = [
  [/^\/(?:jobs\/?)?$/, () => import("/assets/views/jobs.js")],
  [/^\/new\/?$/, () => import("/assets/views/create.js")],
  [/^\/files\/?$/, () => import("/assets/views/files.js")],
  [/^\/jobs\/([^/]+)\/lineage\/?$/, () => import("/assets/views/lineage.js")],
  [/^\/jobs\/([^/]+)\/candidates\/?$/, () => import("/assets/views/candidates.js")],
  [/^\/jobs\/([^/]+)\/compare\/?$/, () => import("/assets/views/compare.js")],
  [/^\/jobs\/(eval-[^/]+)\/?$/, () => import("/assets/views/evaluation.js")],
  [/^\/jobs\/([^/]+)\/?$/, () => import("/assets/views/job.js")],
];

function chosen(path) {
  for (const [place, [pattern, load]] of VIEWS.entries()) {
    const found = pattern.exec(path);
    if (found) return { place, load, id: found[1] && decodeURIComponent(found[1]) };
  }
  return null;
}

function Page() {
  const address = useAddress();
  const view = chosen(address.pathname);
  const [shown, setShown] = useState(null);
  const first = useRef(true);
  const wanted = view ? `${view.place} ${view.id || ""}` : "";
  useEffect(() => {
    let current = true;
    if (view) view.load().then((module) => current && setShown({ wanted, View: module.View }));
    return () => (current = false);
  }, [wanted]);
  useEffect(() => {
    if (shown && !first.current) document.querySelector("main h1")?.focus({ preventScroll: true });
    if (shown && !first.current) window.scrollTo(0, 0);
    if (shown) first.current = false;
  }, [shown]);
  if (!view) return html`<${Frame}><h1 tabindex="-1">Not found</h1><p><${Link} href="/">Back to jobs<//></p><//>`;
  const ready = shown && shown.wanted === wanted;
  return html`<${Frame} path=${address.pathname}>
    ${ready ? html`<${shown.View} key=${wanted} id=${view.id} query=${address.searchParams} />` : html`<p class="quiet">Loading …</p>`}
  <//>`;
}

render(html`<${Page} />`, document.getElementById("app"));
