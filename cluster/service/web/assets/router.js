// Addresses: reading the current one, and moving to another without reloading the page. Knows no view's content.
import { html, useEffect, useState } from "/assets/dom.js";

const MOVED = "promptray:moved";

export function go(address, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  window.dispatchEvent(new Event(MOVED));
}

const here = () => location.pathname + location.search;

export function useAddress() {
  const [address, setAddress] = useState(here());
  useEffect(() => {
    const moved = () => setAddress(here());
    for (const kind of [MOVED, "popstate"]) window.addEventListener(kind, moved);
    return () => [MOVED, "popstate"].forEach((kind) => window.removeEventListener(kind, moved));
  }, []);
  return new URL(address, location.origin);
}

/** A link inside the page; opened in a new tab it is an ordinary link. */
export function Link({ href, children, ...rest }) {
  const follow = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}

export const jobAddress = (id, part = "", query = {}) => {
  const params = Object.entries(query).filter(([, value]) => value);
  return `/jobs/${encodeURIComponent(id)}${part && `/${part}`}${params.length ? `?${new URLSearchParams(params)}` : ""}`;
};
