// Which view a path shows. Links stay ordinary links: this takes over their clicks.
import { useEffect, useState } from "/assets/vendor.js";

const listeners = new Set();

export function go(path, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  for (const listener of listeners) listener();
}

export function useLocation() {
  const read = () => ({ path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) });
  const [place, setPlace] = useState(read);
  useEffect(() => {
    const changed = () => setPlace(read());
    listeners.add(changed);
    addEventListener("popstate", changed);
    return () => {
      listeners.delete(changed);
      removeEventListener("popstate", changed);
    };
  }, []);
  return place;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const own = link && link.origin === location.origin && !link.target && !link.hasAttribute("download") && !link.pathname.startsWith("/v1/");
  if (!own || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.pathname + link.search);
  document.getElementById("main")?.focus({ preventScroll: true });
  scrollTo(0, 0);
});
