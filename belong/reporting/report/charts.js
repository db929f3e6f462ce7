// Charts as SVG, drawn for the width that there is.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 14, bottom: 44, left: 58 };
let charts = 0;

function svgNode(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// An axis is {from, to, logarithmic, title, format}; `place` gives pixels, clamped to the axis.
function scaleOf(axis, start, end) {
  const bent = axis.logarithmic ? Math.log10 : (value) => value;
  const from = bent(axis.from);
  const to = bent(axis.to);
  return (value) => {
    const inside = Math.min(Math.max(value, axis.from), axis.to);
    return start + ((bent(inside) - from) / (to - from)) * (end - start);
  };
}

function ticksOf(axis, most) {
  const ticks = axis.logarithmic ? powersWithin(axis) : roundsWithin(axis, most);
  const every = Math.ceil(ticks.length / most);
  return ticks.filter((_, at) => at % every === 0);
}

function powersWithin(axis) {
  const wide = axis.to / axis.from > 50;
  const ticks = [];
  for (let power = Math.floor(Math.log10(axis.from)); power <= Math.log10(axis.to); power++)
    for (const times of wide ? [1] : [1, 2, 5]) ticks.push(Number(`${times}e${power}`));
  return ticks.filter((tick) => tick >= axis.from * 0.999 && tick <= axis.to * 1.001);
}

function roundsWithin(axis, most) {
  const rough = (axis.to - axis.from) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough * 0.999);
  const ticks = [];
  for (let at = Math.ceil(axis.from / step - 1e-9); at * step <= axis.to + step * 1e-9; at++)
    ticks.push(Number((at * step).toPrecision(10)));
  return ticks;
}

// Draw the axes into `box` and call draw(plot, X, Y) for what they hold; X and Y give pixels.
// Without a height the chart is as high as its width asks for.
function drawChart(box, { label, x, y, draw, height: given }) {
  const width = Math.max(box.clientWidth, 240);
  const height = given ?? Math.round(Math.min(Math.max(width * 0.66, 240), 400));
  const right = width - MARGIN.right;
  const bottom = height - MARGIN.bottom;
  const svg = svgNode("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const X = scaleOf(x, MARGIN.left, right);
  const Y = scaleOf(y, bottom, MARGIN.top);

  for (const tick of ticksOf(x, Math.floor(width / 75))) {
    svg.append(svgNode("line", { class: "grid", x1: X(tick), x2: X(tick), y1: MARGIN.top, y2: bottom }));
    svg.append(svgNode("text", { x: X(tick), y: bottom + 17, "text-anchor": "middle" }, x.format(tick)));
  }
  for (const tick of ticksOf(y, 6)) {
    svg.append(svgNode("line", { class: "grid", x1: MARGIN.left, x2: right, y1: Y(tick), y2: Y(tick) }));
    svg.append(svgNode("text", { x: MARGIN.left - 8, y: Y(tick) + 4, "text-anchor": "end" }, y.format(tick)));
  }
  const middle = (MARGIN.left + right) / 2;
  svg.append(svgNode("text", { x: middle, y: height - 6, "text-anchor": "middle" }, x.title));
  const turn = `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)`;
  svg.append(svgNode("text", { transform: turn, "text-anchor": "middle" }, y.title));

  const id = `inside-${charts++}`;
  const clip = svgNode("clipPath", { id });
  const size = { x: MARGIN.left, y: MARGIN.top - 3, width: right - MARGIN.left, height: bottom - MARGIN.top + 5 };
  clip.append(svgNode("rect", size));
  const plot = svgNode("g", { "clip-path": `url(#${id})` });
  svg.append(clip, plot);
  draw(plot, X, Y);
  box.replaceChildren(svg);
}

function pathThrough([xs, ys], X, Y) {
  return xs.map((x, at) => `${at ? "L" : "M"}${X(x).toFixed(1)} ${Y(ys[at]).toFixed(1)}`).join("");
}

// Up to each x the curve keeps the height of the one before.
function stepsThrough([xs, ys], X, Y) {
  return xs
    .map((x, at) => (at ? `H${X(x).toFixed(1)}V` : `M${X(x).toFixed(1)} `) + Y(ys[at]).toFixed(1))
    .join("");
}
