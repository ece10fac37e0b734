"use strict";
// Draws the charts in the colours of the page, and draws them again when these change.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function themed(layout) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickfont: { color: colour("--quiet") } };
    return {
      ...layout,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--quiet") },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") }, align: "left" },
      xaxis: { ...layout.xaxis, ...axis },
      yaxis: { ...layout.yaxis, ...axis },
    };
  }

  function draw() {
    for (const [id, figure] of Object.entries(charts)) {
      Plotly.react(id, figure.data, themed(figure.layout), { displayModeBar: false, responsive: true });
    }
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // A link in the table leads into a folded trial: unfold it.
  const unfold = () => {
    const trial = location.hash && document.getElementById(location.hash.slice(1));
    if (trial instanceof HTMLDetailsElement) { trial.open = true; trial.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  draw();
  unfold();
})();
