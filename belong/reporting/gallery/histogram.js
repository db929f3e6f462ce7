// The scores, with those of the images that are shown in color; a range of bars can be dragged, or
// moved with the arrow keys.

const { edges: EDGES, counts: COUNTS, logarithmic: LOGARITHMIC } = DATA.histogram;
const BARS = COUNTS.length;
const chart = document.getElementById("histogram");
let scoreToPixel = null; // as last drawn

// The bar of a score; one on an edge belongs to the bar above it.
function barOf(score) {
  let [low, high] = [0, BARS - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (score < EDGES[middle + 1]) high = middle;
    else low = middle + 1;
  }
  return low;
}

function barAt(event) {
  const place = event.clientX - chart.getBoundingClientRect().left;
  const beyond = EDGES.findIndex((edge, at) => at > 0 && scoreToPixel(edge) > place);
  return beyond < 0 ? BARS - 1 : beyond - 1;
}

// The outermost bars hold what lies beyond the ends, too.
function rangeOf(one, other) {
  const [first, last] = one < other ? [one, other] : [other, one];
  return {
    from: first === 0 ? "" : String(EDGES[first]),
    to: last === BARS - 1 ? "" : String(EDGES[last + 1]),
  };
}

function drawHistogram(view, shown) {
  const [belong, rejected] = [Array(BARS).fill(0), Array(BARS).fill(0)];
  for (const at of shown) (IMAGES.belongs[at] ? belong : rejected)[barOf(IMAGES.score[at])]++;
  const highest = Math.max(1, ...COUNTS) * 1.1;
  const ends = { from: EDGES[0], to: EDGES.at(-1), logarithmic: LOGARITHMIC };
  drawChart(chart, {
    label: `Histogram of the scores; the threshold is ${plain(DATA.limit)}`,
    height: 170,
    x: { ...ends, title: LOGARITHMIC ? "score, on a logarithmic axis" : "score", format: plain },
    y: { from: 0, to: highest, title: "images", format: whole },
    draw(plot, X, Y) {
      scoreToPixel = X;
      if (view.from !== "" || view.to !== "") {
        const left = X(view.from === "" ? ends.from : Number(view.from));
        const right = X(view.to === "" ? ends.to : Number(view.to));
        const size = { x: left, y: Y(highest), width: Math.max(right - left, 0), height: Y(0) - Y(highest) };
        plot.append(svgNode("rect", { class: "range", ...size }));
      }
      COUNTS.forEach((count, at) => {
        const x = X(EDGES[at]);
        const width = X(EDGES[at + 1]) - x;
        const bar = (kind, low, high) =>
          svgNode("rect", { class: kind, x, width, y: Y(high), height: Y(low) - Y(high) });
        const both = belong[at] + rejected[at];
        const title = `${plain(EDGES[at])} to ${plain(EDGES[at + 1])}: ${whole(count)}, shown ${whole(both)}`;
        const column = svgNode("g", {});
        column.append(
          svgNode("title", {}, title),
          bar("reach", 0, highest),
          bar("rest", 0, count),
          bar("belongs", 0, belong[at]),
          bar("rejected", belong[at], both),
        );
        plot.append(column);
      });
      const x = X(DATA.limit);
      plot.append(svgNode("line", { class: "limit", x1: x, x2: x, y1: Y(highest), y2: Y(0) }));
      const left = x > chart.clientWidth / 2;
      const place = { x: x + (left ? -6 : 6), y: MARGIN.top + 12, "text-anchor": left ? "end" : "start" };
      const text = `threshold ${short(DATA.limit, 4)}`;
      plot.append(svgNode("text", { ...place, class: "mark" }, text));
    },
  });
}

// The first and the last bar of a range; of all scores none.
function barsOf({ from, to }) {
  if (from === "" && to === "") return null;
  const last = to === "" ? BARS - 1 : barOf(Number(to)) - (EDGES.includes(Number(to)) ? 1 : 0);
  return [from === "" ? 0 : barOf(Number(from)), last];
}

// The range one bar further, left (-1) or right (1); where there is none, the bar of the threshold.
function moved(range, by, isLonger) {
  const bars = barsOf(range);
  if (bars === null) return rangeOf(barOf(DATA.limit), barOf(DATA.limit));
  const [first, last] = bars;
  if (last + by >= BARS || (isLonger ? last + by < first : first + by < 0)) return range;
  return rangeOf(isLonger ? first : first + by, last + by);
}

// Call take({from, to}) while a range is dragged, or moved with keys. A click on the one bar in view,
// or Escape, lets all back in.
function onRange(take, current) {
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined && event.key !== "Escape") return;
    event.preventDefault();
    take(by === undefined ? { from: "", to: "" } : moved(current(), by, event.shiftKey));
  });
  let drag = null; // the bars where it began and where it is, and the range before it
  const taken = () => rangeOf(drag.start, drag.end);
  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    chart.setPointerCapture(event.pointerId);
    const start = barAt(event);
    drag = { start, end: start, before: current() };
    take(taken());
  });
  chart.addEventListener("pointermove", (event) => {
    if (!drag || drag.end === barAt(event)) return;
    drag.end = barAt(event);
    take(taken());
  });
  chart.addEventListener("pointerup", () => {
    if (!drag) return;
    const { from, to } = taken();
    const again = drag.before.from === from && drag.before.to === to;
    if (again && drag.start === drag.end) take({ from: "", to: "" });
    drag = null;
  });
  chart.addEventListener("pointercancel", () => {
    if (drag) take(drag.before);
    drag = null;
  });
}
