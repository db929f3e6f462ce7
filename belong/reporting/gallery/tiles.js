// The images as tiles; only those near the window are in the document, so that thousands do.

const GAP = 10;
const BEYOND_PX = 600; // above and below the window
const TEXT_PX = 44; // under a picture
const tiles = document.getElementById("tiles");
const side = hasPhotos(DATA.pictures) ? 160 : sideNear(84, DATA.pictures);
const cell = { width: side + 8, height: side + 8 + TEXT_PX };
const drawn = new Map(); // place in `onTiles` -> tile
let onTiles = [];
let columns = 1;
let current = 0; // the tile that Tab leads to

function tileOf(place) {
  const at = onTiles[place];
  const [name, score] = [visible(IMAGES.class[at] ?? "–"), short(IMAGES.score[at])];
  const path = visible(IMAGES.path[at]);
  const said = answerOf(at);
  const verdict = IMAGES.belongs[at] ? "belongs" : "does not belong";
  const tile = node(
    "button",
    { type: "button", className: IMAGES.belongs[at] ? "tile" : "tile out", title: path, tabIndex: -1 },
    pictureOf(DATA.pictures, at, side),
    node("b", { textContent: said || name, dir: "auto" }),
    node("span", { textContent: score }),
  );
  tile.setAttribute("aria-label", `${path}: ${name}, score ${score}, ${verdict}${said && `, marked ${said.slice(2)}`}`);
  tile.classList.toggle("marked", said !== "");
  tile.dataset.at = at;
  const row = Math.floor(place / columns);
  const step = columns > 1 ? (tiles.clientWidth - cell.width) / (columns - 1) : 0;
  tile.style.left = `${(place % columns) * Math.min(step, cell.width + 2.5 * GAP)}px`;
  tile.style.top = `${row * (cell.height + GAP)}px`;
  return tile;
}

function drawTiles() {
  const above = -tiles.getBoundingClientRect().top;
  const high = cell.height + GAP;
  const first = Math.max(0, Math.floor((above - BEYOND_PX) / high) * columns);
  const rows = Math.ceil((above + window.innerHeight + BEYOND_PX) / high);
  const end = Math.min(onTiles.length, Math.max(rows, 0) * columns);
  for (const [place, tile] of drawn) {
    if (place >= first && place < end) continue;
    if (tile === document.activeElement) continue;
    tile.remove();
    drawn.delete(place);
  }
  let next = null; // from the last to the first: each is put before the one that follows it
  for (let place = end - 1; place >= first; place--) {
    if (!drawn.has(place)) {
      drawn.set(place, tileOf(place));
      tiles.insertBefore(drawn.get(place), next);
    }
    next = drawn.get(place);
  }
  if (!drawn.has(current)) current = Math.min(Math.max(first, Math.floor(above / high) * columns), end - 1);
  for (const [place, tile] of drawn) tile.tabIndex = place === current ? 0 : -1;
}

function layTiles(shown) {
  onTiles = shown;
  for (const tile of drawn.values()) tile.remove();
  drawn.clear();
  columns = Math.max(1, Math.floor((tiles.clientWidth + GAP) / (cell.width + GAP)));
  tiles.style.height = `${Math.ceil(shown.length / columns) * (cell.height + GAP)}px`;
  drawTiles();
}

function focusTile(place) {
  if (!onTiles.length) return;
  current = Math.min(Math.max(place, 0), onTiles.length - 1);
  const top = tiles.getBoundingClientRect().top + Math.floor(current / columns) * (cell.height + GAP);
  const head = 70; // the bar that stays at the top
  if (top < head) window.scrollBy({ top: top - head, behavior: "instant" });
  const below = top + cell.height - window.innerHeight;
  if (below > 0) window.scrollBy({ top: below + GAP, behavior: "instant" });
  drawTiles();
  drawn.get(current).focus({ preventScroll: true });
  drawTiles();
}

const KEYS = {
  ArrowLeft: () => current - 1,
  ArrowRight: () => current + 1,
  ArrowUp: () => (current < columns ? current : current - columns),
  ArrowDown: () => current + columns,
  Home: () => 0,
  End: () => onTiles.length - 1,
};
tiles.addEventListener("keydown", (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  focusTile(KEYS[event.key]());
});
tiles.addEventListener("focusin", (event) => {
  current = onTiles.indexOf(Number(event.target.dataset.at));
});
