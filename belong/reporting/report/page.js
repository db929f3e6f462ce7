// One detector is selected: in the sidebar, a legend, a table or on its curve.

const { charts: CURVES, lines: LINES, alpha: ALPHA } = JSON.parse(
  document.getElementById("curves-data").textContent,
);
const PICTURES = JSON.parse(document.getElementById("pictures-data").textContent);
const NAMES = Object.keys(LINES);
const NORMAL = "#0072b2";
const ANOMALY = "#d55e00";
const picker = document.getElementById("picker");

const plain = (value) => String(Number(value.toPrecision(6)));
const percent = (value) => `${plain(100 * value)}%`;
const share = { from: 0, to: 1, format: plain };

// Draw the curves of all detectors in one chart, the selected one on top.
function drawCurves(box, label, x, y, of, through) {
  const inView = picker.value;
  drawChart(box, {
    label: `${label}; selected: ${inView}`,
    x,
    y,
    draw(plot, X, Y) {
      const known = NAMES.filter((name) => of(CURVES[name]));
      const front = known.filter((name) => name === inView);
      for (const name of [...known.filter((name) => name !== inView), ...front]) {
        const d = through(of(CURVES[name]), X, Y);
        const strong = name === inView;
        const curve = svgNode("path", {
          class: "curve",
          d,
          stroke: LINES[name].color,
          "stroke-dasharray": LINES[name].dash,
          "stroke-width": strong ? 3 : 1.2,
          "stroke-opacity": strong ? 1 : 0.6,
        });
        const reach = svgNode("path", { class: "reach", d, "data-pick": name });
        reach.append(svgNode("title", {}, name));
        plot.append(curve, reach);
      }
    },
  });
}

function drawHistogram(box) {
  const { edges, logarithmic, shares, thresholds } = CURVES[picker.value].histogram;
  const highest = Math.max(...Object.values(shares).flat());
  const ends = { from: edges[0], to: edges.at(-1), logarithmic };
  drawChart(box, {
    label: `Histogram of the scores of ${picker.value}`,
    x: { ...ends, title: logarithmic ? "score, on a logarithmic axis" : "score", format: plain },
    y: { from: 0, to: highest * 1.12, title: "share of the images", format: percent },
    draw(plot, X, Y) {
      for (const [kind, color] of [["normal", NORMAL], ["anomaly", ANOMALY]]) {
        (shares[kind] ?? []).forEach((height, at) => {
          const [left, right] = [X(edges[at]), X(edges[at + 1])];
          const bar = { x: left, y: Y(height), width: right - left, height: Y(0) - Y(height) };
          const drawn = svgNode("rect", { ...bar, fill: color, "fill-opacity": 0.6 });
          const bin = `${plain(edges[at])} to ${plain(edges[at + 1])}`;
          drawn.append(svgNode("title", {}, `${percent(height)} of the ${kind} images: ${bin}`));
          plot.append(drawn);
        });
      }
      const { in_force: inForce, ...kinds } = thresholds;
      Object.entries(kinds).forEach(([kind, score], at) => {
        const x = X(score);
        const line = { x1: x, x2: x, y1: Y(highest * 1.12), y2: Y(0), stroke: "#17212b" };
        const dash = score === inForce ? "" : "5 4";
        plot.append(svgNode("line", { ...line, "stroke-width": 1.6, "stroke-dasharray": dash }));
        const left = x > box.clientWidth / 2;
        const place = { x: x + (left ? -6 : 6), y: MARGIN.top + 14 + 17 * at };
        const text = `${kind}: ${plain(Number(score.toPrecision(4)))}`;
        plot.append(svgNode("text", { ...place, class: "mark", "text-anchor": left ? "end" : "start" }, text));
      });
    },
  });
}

function drawCalibration(box) {
  const { alpha, expected_low: low, expected_high: high } = CURVES[picker.value].calibration;
  if (alpha.length === 0) return;
  const from = alpha.find((one) => one > 0);
  const axis = { from: from / 2, to: Math.min(1, alpha.at(-1) * 2), logarithmic: true, format: percent };
  drawChart(box, {
    label: `Promised and measured false-rejection rate of ${picker.value}`,
    x: { ...axis, from, to: alpha.at(-1), title: "promised false-rejection rate" },
    y: { ...axis, title: "measured rate" },
    draw(plot, X, Y) {
      const back = [...alpha.keys()].reverse();
      const band = [[...alpha, ...back.map((at) => alpha[at])], [...high, ...back.map((at) => low[at])]];
      plot.append(svgNode("path", { d: `${pathThrough(band, X, Y)}Z`, fill: NORMAL, "fill-opacity": 0.16 }));
      plot.append(svgNode("path", { class: "curve", d: pathThrough([alpha, alpha], X, Y), stroke: "#8c979f", "stroke-dasharray": "2 3" }));
      for (const name of NAMES.filter((one) => one !== picker.value)) {
        const curve = CURVES[name].calibration;
        const d = pathThrough([curve.alpha, curve.false_reject], X, Y);
        plot.append(svgNode("path", { class: "curve", d, stroke: "#c4ccd3" }));
      }
      const upright = { x1: X(ALPHA), x2: X(ALPHA), y1: Y(axis.from), y2: Y(axis.to) };
      plot.append(svgNode("line", { ...upright, stroke: "#17212b", "stroke-dasharray": "5 4" }));
      const place = { x: X(ALPHA) + 6, y: Y(axis.from) - 8, class: "mark" };
      plot.append(svgNode("text", place, `alpha: ${percent(ALPHA)}`));
      const measured = [alpha, CURVES[picker.value].calibration.false_reject];
      const d = pathThrough(measured, X, Y);
      plot.append(svgNode("path", { class: "curve", d, stroke: "#17212b", "stroke-width": 2 }));
    },
  });
}

const DRAW = {
  roc: (box) =>
    drawCurves(box, "ROC curves", { ...share, title: "anomalies accepted" },
      { ...share, title: "normal images accepted" }, (one) => one.roc, stepsThrough),
  corner: (box) =>
    drawCurves(box, "Upper left corner of the ROC curves",
      { from: 1e-4, to: 1, logarithmic: true, title: "anomalies accepted", format: plain },
      { from: 0.8, to: 1, title: "normal images accepted", format: plain }, (one) => one.roc, stepsThrough),
  "pr-normal": (box) => drawPrecision(box, "normal"),
  "pr-anomaly": (box) => drawPrecision(box, "anomaly"),
  histogram: drawHistogram,
  calibration: drawCalibration,
};

function drawPrecision(box, kind) {
  drawCurves(box, `Precision and recall, ${kind} as positive`, { ...share, title: "recall" },
    { ...share, title: "precision" }, (one) => one.pr[kind], pathThrough);
}

function drawAll() {
  for (const box of document.querySelectorAll("[data-chart]")) DRAW[box.dataset.chart](box);
}

function show(name) {
  picker.value = name;
  for (const place of document.querySelectorAll("[data-picked]")) place.textContent = name;
  for (const block of document.querySelectorAll("[data-shows]")) block.hidden = block.dataset.shows !== name;
  for (const button of document.querySelectorAll("button[data-pick]")) {
    const inView = button.dataset.pick === name;
    button.setAttribute("aria-pressed", inView);
    (button.closest("tr, .strip") ?? button).classList.toggle("picked", inView);
  }
  drawAll();
}

for (const image of document.querySelectorAll("[data-image]")) image.src = PICTURES[image.dataset.image];
picker.addEventListener("change", () => show(picker.value));
document.addEventListener("click", (event) => {
  const picked = event.target.closest("[data-pick]");
  if (picked) show(picked.dataset.pick);
});
let width = 0;
new ResizeObserver(([main]) => {
  if (Math.abs(main.contentRect.width - width) > 1) requestAnimationFrame(drawAll);
  width = main.contentRect.width;
}).observe(document.querySelector("main"));
show(NAMES.includes("combined") ? "combined" : NAMES[0]);
