// The frame of every view: the bar with its links, the API key, the colours, and the live region for screen readers.
import { html, useEffect, useRef, useState } from "/assets/dom.js";
import { apiKey, get, onApiKey, setApiKey, url } from "/assets/api.js";
import { Link } from "/assets/router.js";

let setAnnouncement = () => {};
/** Announces one sentence to screen readers, without moving the focus. */
export const announce = (sentence) => setAnnouncement(sentence);

const LINKS = [["/", "Jobs", /^\/(jobs.*)?$/], ["/new", "New job", /^\/new/], ["/files", "Data", /^\/files/]];

export function Frame({ path = "", children }) {
  const [announced, setAnnounced] = useState("");
  const [, redraw] = useState(0);
  useEffect(() => {
    setAnnouncement = setAnnounced;
    return onApiKey(() => redraw((n) => n + 1));
  }, []);
  return html`
    <header class="bar"><div class="bar-inner">
      <${Link} href="/" class="brand"><img src="/assets/mark.svg" alt="" width="22" height="22" /> promptray<//>
      <nav aria-label="Main"><ul>${LINKS.map(([href, name, mine]) => html`
        <li key=${href}><${Link} href=${href} aria-current=${mine.test(path) ? "page" : undefined}>${name}<//></li>`)}</ul></nav>
      <${Who} />
      <${ThemeSwitch} />
    </div></header>
    <main id="main" tabindex="-1" key=${apiKey()}>${children}</main>
    <p class="unseen" role="status" aria-live="polite">${announced}</p>`;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(window.promptrayTheme.now());
  const other = theme === "dark" ? "light" : "dark";
  const switchTheme = () => (window.promptrayTheme.choose(other), setTheme(other));
  return html`<button class="plain" onClick=${switchTheme} title=${`Use ${other} colours`}>
    <span aria-hidden="true">${theme === "dark" ? "☀" : "☾"}</span><span class="unseen">Use ${other} colours</span></button>`;
}

/** The owner of the key, and the dialog to enter one. */
function Who() {
  const [me, setMe] = useState(null);
  const dialog = useRef(null);
  useEffect(() => {
    const stop = new AbortController();
    setMe(null);
    get(url(["me"]), stop.signal).then(setMe, (problem) => problem.status === 401 && setMe({ refused: true }));
    return () => stop.abort();
  }, [apiKey()]);
  const save = (event) => {
    event.preventDefault();
    setApiKey(new FormData(event.target).get("key").trim());
    dialog.current.close();
  };
  const name = me?.owner ? `${me.owner}${me.admin ? " (admin)" : ""}` : me?.refused ? "Enter a key" : "API key";
  return html`
    <button class=${me?.refused ? "small primary" : "small"} onClick=${() => dialog.current.showModal()} aria-haspopup="dialog">
      ${name}</button>
    <dialog ref=${dialog} aria-labelledby="key-title"><form onSubmit=${save}>
      <h2 id="key-title">API key</h2>
      <p class="quiet">Stored in this tab only.</p>
      <label for="key">Key</label>
      <input id="key" name="key" type="password" autocomplete="off" spellcheck="false" value=${apiKey()} />
      ${me?.quota && html`<${Quota} quota=${me.quota} />`}
      <p class="buttons"><button class="primary" type="submit">Use this key</button>
        <button type="button" onClick=${() => dialog.current.close()}>Close</button></p>
    </form></dialog>`;
}

function Quota({ quota }) {
  const rows = [["Jobs at once", quota.jobs_now, quota.jobs_at_once], ["Calls today", quota.calls_today, quota.calls_a_day],
    ["Money today", quota.money_today, quota.money_a_day]];
  return html`<dl class="pairs">${rows.map(([name, used, most]) => html`
    <div key=${name}><dt>${name}</dt><dd>${most === null ? `${used} (unlimited)` : `${used} of ${most}`}</dd></div>`)}</dl>`;
}
