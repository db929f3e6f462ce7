// Photos are pictures of their own; small ones lie on sheets, which the browser reads when one of
// theirs is needed.

const SMALL_PX = 48; // up to here each pixel is drawn as a square, beyond smoothly
const sheetsRead = new Map();

function sheetOf(uri) {
  if (!sheetsRead.has(uri)) {
    const image = node("img", { src: uri });
    sheetsRead.set(uri, image.decode().then(() => image));
  }
  return sheetsRead.get(uri);
}

const hasPhotos = (pictures) => pictures.photos.some(Boolean);

// The photo, or a canvas with the picture, of the size that it is to have on the screen.
function pictureOf(pictures, place, side) {
  const photo = pictures.photos[place];
  if (!photo) return drawnFrom(pictures, pictures.at[place] ?? place, side);
  const image = node("img", { src: photo, alt: "", className: "photo", decoding: "async" });
  image.style.width = `${side}px`;
  image.style.height = `${side}px`;
  return image;
}

function drawnFrom({ uris, width, height, across }, place, side) {
  const canvas = node("canvas", { width, height });
  const scale = side / Math.max(width, height);
  canvas.style.width = `${Math.round(width * scale)}px`;
  canvas.style.height = `${Math.round(height * scale)}px`;
  canvas.classList.toggle("pixels", Math.max(width, height) <= SMALL_PX);
  canvas.setAttribute("aria-hidden", "true");
  const onSheet = place % across ** 2;
  const [x, y] = [(onSheet % across) * width, Math.floor(onSheet / across) * height];
  sheetOf(uris[Math.floor(place / across ** 2)]).then((sheet) =>
    canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height),
  );
  return canvas;
}

// Pixels are drawn as squares: return the size nearest to `side` that whole squares allow.
function sideNear(side, { width, height }) {
  const longer = Math.max(width, height, 1);
  return longer > SMALL_PX ? side : longer * Math.max(1, Math.round(side / longer));
}
