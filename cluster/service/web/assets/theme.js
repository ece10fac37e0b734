// The colours that the reader has chosen, set before the first paint. A classic script, so that nothing flashes.
const CHOSEN = "promptray-theme";

function chosenTheme() {
  try {
    return localStorage.getItem(CHOSEN);
  } catch {
    return null; // storage is not available: follow the system
  }
}

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(CHOSEN, theme);
  } catch {
    // then it lasts until the page is left
  }
  window.dispatchEvent(new Event("promptray:theme"));
}

window.promptrayTheme = {
  now: () => document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"),
  choose: chooseTheme,
};
if (["light", "dark"].includes(chosenTheme())) document.documentElement.dataset.theme = chosenTheme();
