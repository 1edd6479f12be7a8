"use strict";
// Draws each figure into the element with its name.
for (const [name, figure] of Object.entries(JSON.parse(document.getElementById("figures").textContent))) {
  Plotly.newPlot(name, figure.data, figure.layout, { displayModeBar: false, displaylogo: false, showTips: false });
}
document.documentElement.dataset.drawn = "all";
