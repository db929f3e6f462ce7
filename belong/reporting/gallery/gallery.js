// Form, address, histogram and tiles always say the same.

function offerClasses() {
  const counts = new Map();
  for (const name of IMAGES.class) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const options = names.map((name) =>
    node("option", { value: name, textContent: `${visible(name)} (${whole(counts.get(name))})` }),
  );
  form.elements.class.append(...options);
}

// On a narrow window the form stands above the images and is folded, so that they come first.
function foldForm() {
  const narrow = window.matchMedia("(max-width: 860px)");
  const fold = () => {
    document.getElementById("fold").open = !narrow.matches;
  };
  narrow.addEventListener("change", fold);
  fold();
}

// Says nothing in the address: one that is new and not read yet must not be lost.
function draw() {
  const view = viewInForm();
  moveThreshold(Number(view.alpha));
  const { any, shown } = chosen(view);
  for (const place of form.querySelectorAll("[data-count]"))
    place.textContent = whole(any.filter((at) => ofVerdict(place.dataset.count, at)).length);
  document.getElementById("count").textContent = `${whole(shown.length)} of ${whole(COUNT)} images shown`;
  document.getElementById("none").hidden = shown.length > 0;
  done.textContent = "";
  drawHistogram(view, shown);
  layTiles(shown);
}

function show() {
  draw();
  writeAddress(viewInForm(), opened);
}

// What is shown starts at its first row again.
function showFromStart() {
  current = 0;
  const { top } = document.getElementById("images").getBoundingClientRect();
  if (top < 0) window.scrollBy({ top, behavior: "instant" });
  show();
}

function showAddress() {
  fillForm(viewInAddress());
  const at = openInAddress();
  opened = at;
  show();
  if (at !== null) fillPanel(at);
  else panel.close();
}

offerClasses();
foldForm();
onReview(() => {
  const place = drawn.has(current) && drawn.get(current) === document.activeElement ? current : null;
  draw();
  if (opened !== null) fillPanel(opened);
  else if (place !== null) focusTile(place);
});
showAddress();
onPanel(() => writeAddress(viewInForm(), opened));
onRange(
  (range) => {
    fillForm({ ...viewInForm(), ...range });
    showFromStart();
  },
  () => viewInForm(),
);
form.addEventListener("input", showFromStart);
slider.addEventListener("input", showFromStart); // it stands outside of the form
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(showFromStart));
window.addEventListener("hashchange", showAddress);
let scrolled = false;
window.addEventListener("scroll", () => {
  if (!scrolled) requestAnimationFrame(() => { scrolled = false; drawTiles(); });
  scrolled = true;
});
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (Math.abs(contentRect.width - width) > 1) requestAnimationFrame(draw);
  width = contentRect.width;
}).observe(tiles);
