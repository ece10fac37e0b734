// The frame of the page: head, key, theme, and the view that the path names.
import { html, render, useEffect, useState } from "/assets/vendor.js";
import { get, key, setKey } from "/assets/api.js";
import { useLocation } from "/assets/routing.js";
import { Jobs } from "/assets/views/jobs.js";
import { Job } from "/assets/views/job.js";
import { New } from "/assets/views/new.js";

const THEME = "promptray-theme";
const SAID_MS = 6000;
const THEMES = ["auto", "light", "dark"];

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themed"));
}

function Theme() {
  const [theme, setTheme] = useState(localStorage.getItem(THEME) || "auto");
  useEffect(() => {
    localStorage.setItem(THEME, theme);
    applyTheme(theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return html`<button class="plain" onClick=${() => setTheme(next)} aria-label=${`Colours: ${theme}; change to ${next}`}>
    <span aria-hidden="true">${{ auto: "◐", light: "☀", dark: "☾" }[theme]}</span></button>`;
}

function Key({ onChange, needed }) {
  const [value, setValue] = useState("");
  const enter = (event) => {
    event.preventDefault();
    setKey(value.trim());
    setValue("");
    onChange();
  };
  return html`
    <form class="card key-form" onSubmit=${enter}>
      <h2>${needed ? "This service wants an API key" : "API key"}</h2>
      <label>Key <input type="password" autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} /></label>
      <p class="quiet">It stays in this tab, and is forgotten when the tab is closed.</p>
      <div class="row"><button class="main" type="submit">Use it</button>
        ${key() ? html`<button type="button" onClick=${() => { setKey(""); onChange(); }}>Forget the key</button>` : null}</div>
    </form>`;
}

function view({ path, query }, say) {
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (parts[0] === "new") return html`<${New} say=${say} />`;
  if (parts[0] === "jobs" && parts[1]) return html`<${Job} key=${parts[1]} id=${parts[1]} tab=${parts[2] || ""} query=${query} say=${say} />`;
  return html`<${Jobs} say=${say} />`;
}

function App() {
  const place = useLocation();
  const [me, setMe] = useState(null);
  const [problem, setProblem] = useState(null);
  const [said, say] = useState("");
  useEffect(() => {
    const timer = said && setTimeout(() => say(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const [keyOpen, openKey] = useState(false);
  const ask = () => {
    openKey(false);
    get("/v1/me").then((found) => { setMe(found); setProblem(null); }, (trouble) => { setMe(null); setProblem(trouble); });
  };
  useEffect(ask, []);
  const locked = problem && (problem.status === 401 || problem.status === 403);
  return html`
    <header class="top"><div class="wide row">
      <a class="brand" href="/"><img src="/assets/icon.svg" alt="" width="22" height="22" />promptray</a>
      <nav aria-label="Main"><a href="/" aria-current=${place.path === "/" ? "page" : null}>Jobs</a>
        <a href="/new" aria-current=${place.path === "/new" ? "page" : null}>New</a></nav>
      <span class="push"></span>
      ${me ? html`<span class="quiet owner">${me.owner}${me.admin ? " (admin)" : ""}</span>` : null}
      <button class="plain" onClick=${() => openKey(!keyOpen)} aria-expanded=${keyOpen}>Key</button>
      <${Theme} />
    </div></header>
    <main id="main" tabindex="-1" class="wide">
      ${locked || keyOpen ? html`<${Key} needed=${locked} onChange=${ask} />` : null}
      ${locked ? html`<p class="quiet">${problem.message}</p>` : view(place, say)}
    </main>
    <p class="said" role="status" aria-live="polite">${said}</p>`;
}

applyTheme(localStorage.getItem(THEME) || "auto");
const place = document.getElementById("app");
place.replaceChildren();
render(html`<${App} />`, place);
