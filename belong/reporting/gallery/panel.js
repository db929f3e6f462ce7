// One image at large, with all its numbers and what it was compared to.

const panel = document.getElementById("panel");
const inPanel = (selector) => panel.querySelector(selector);
let opened = null; // the image in the panel

function numbersOf(at) {
  const number = (key) => short(IMAGES[key][at], 4);
  const name = (key) => visible(IMAGES[key][at] ?? "–");
  return {
    "predicted class": name("class"),
    probability: number("probability"),
    score: `${number("score")}, threshold ${short(DATA.limit, 4)}`,
    "p-value": number("p_value"),
    "nearest class": name("nearest_class"),
    "distance (calibrated limit: 1)": number("distance"),
    "deciding detector": name("detector"),
  };
}

const sideInPanel = (at) => (DATA.pictures.photos[at] ? 320 : sideNear(280, DATA.pictures));

function fillPanel(at) {
  opened = at;
  const belongs = IMAGES.belongs[at];
  inPanel("h2").textContent = belongs ? "Belongs" : "Does not belong";
  panel.classList.toggle("out", !belongs);
  inPanel(".picture").replaceChildren(pictureOf(DATA.pictures, at, sideInPanel(at)));
  inPanel(".path").textContent = visible(IMAGES.path[at]);
  inPanel("#said").textContent = answerOf(at) || "no answer yet";
  inPanel("#unmark").disabled = !answers.has(at);
  inPanel(".reason").textContent = visible(IMAGES.reason[at] ?? "");
  const lines = Object.entries(numbersOf(at)).map(([label, value]) =>
    node("div", {}, node("dt", { textContent: label }), node("dd", { textContent: value, dir: "auto" })),
  );
  inPanel(".numbers").replaceChildren(...lines);
  const { class: classes, pictures } = DATA.training;
  const nearSide = hasPhotos(pictures) ? 104 : 64;
  const near = IMAGES.nearest[at].map(([place, distance]) =>
    node(
      "li",
      {},
      pictureOf(pictures, place, nearSide),
      node("b", { textContent: visible(classes[place]), title: visible(classes[place]), dir: "auto" }),
      node("span", { textContent: short(distance), title: "distance" }),
    ),
  );
  inPanel(".nearest").replaceChildren(...near);
  inPanel(".nearest").classList.toggle("photos", hasPhotos(pictures));
  for (const part of ["h3", ".nearest"]) inPanel(part).hidden = near.length === 0;
  const place = onTiles.indexOf(at);
  inPanel("#before").disabled = place <= 0;
  inPanel("#after").disabled = place < 0 || place === onTiles.length - 1;
  if (panel.open) return;
  panel.showModal();
  panel.scrollTop = 0;
}

// Call changed() whenever another image is in the panel, or none.
function onPanel(changed) {
  const leaf = (by) => {
    const place = onTiles.indexOf(opened);
    const next = onTiles[place + by];
    if (place < 0 || next === undefined) return;
    fillPanel(next);
    panel.scrollTop = 0;
    changed();
  };
  tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    fillPanel(Number(tile.dataset.at));
    changed();
  });
  inPanel("#before").addEventListener("click", () => leaf(-1));
  inPanel("#after").addEventListener("click", () => leaf(1));
  inPanel("#close").addEventListener("click", () => panel.close());
  panel.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") leaf(-1);
    if (event.key === "ArrowRight") leaf(1);
  });
  // The panel fills its dialog: a click on the dialog itself is one beside it.
  panel.addEventListener("click", (event) => {
    const { left } = panel.getBoundingClientRect();
    if (event.target === panel && event.clientX < left) panel.close();
  });
  panel.addEventListener("close", () => {
    const place = onTiles.indexOf(opened);
    opened = null;
    changed();
    if (place >= 0) focusTile(place);
  });
}
