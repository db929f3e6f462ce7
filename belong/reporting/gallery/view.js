// Which images are shown, and in which order: in the form, and in the address after the #.

const DATA = JSON.parse(document.getElementById("gallery-data").textContent);
const ALL = { verdict: "all", class: "", order: "most", path: "", from: "", to: "", answer: "", alpha: "0" };
const IMAGES = DATA.images;
const COUNT = IMAGES.path.length;
const PATHS = IMAGES.path.map((path) => path.toLowerCase());
DATA.limit = DATA.threshold; // of the alpha in view
const form = document.getElementById("filters");

// The data comes with the highest score first; ties keep their order.
const places = (key) => [...Array(COUNT).keys()].sort((a, b) => key(a) - key(b));
const ORDERS = {
  most: places(() => 0),
  least: places((at) => IMAGES.score[at]),
  near: places((at) => Math.abs(IMAGES.score[at] - DATA.threshold)),
  path: places((at) => IMAGES.row[at]),
};

const ofVerdict = (verdict, at) => verdict === "all" || (verdict === "belongs") === IMAGES.belongs[at];
const ofScore = (view, at) =>
  (view.from === "" || IMAGES.score[at] >= Number(view.from)) &&
  (view.to === "" || IMAGES.score[at] < Number(view.to));
const ofAnswer = (view, at) => view.answer === "" || (view.answer === "marked") === answers.has(at);
const ofName = (view, part, at) =>
  (view.class === "" || IMAGES.class[at] === view.class) && PATHS[at].includes(part);

// The images that pass all filters, in order; and, for the counts beside the verdicts, those that
// pass all filters but the one by verdict.
function chosen(view) {
  const part = view.path.toLowerCase();
  const any = ORDERS[view.order].filter((at) => ofName(view, part, at) && ofScore(view, at) && ofAnswer(view, at));
  return { any, shown: any.filter((at) => ofVerdict(view.verdict, at)) };
}

function viewInForm() {
  return Object.fromEntries(Object.keys(ALL).map((key) => [key, form.elements[key].value]));
}

// What a form cannot hold, such as a class that is not here, it leaves out.
function fillForm(view) {
  for (const key of Object.keys(ALL)) {
    const field = form.elements[key];
    field.value = ALL[key];
    if (field.type === "number" && isNaN(view[key])) continue; // the browser would complain
    field.value = view[key];
    if (field.value === "") field.value = ALL[key];
  }
}

function viewInAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const known = Object.keys(ALL).filter((key) => said.has(key));
  return { ...ALL, ...Object.fromEntries(known.map((key) => [key, said.get(key)])) };
}

// The path of the image that is open, if the address names one that is here.
function openInAddress() {
  const at = IMAGES.path.indexOf(new URLSearchParams(location.hash.slice(1)).get("image"));
  return at < 0 ? null : at;
}

function writeAddress(view, open) {
  const said = new URLSearchParams(Object.entries(view).filter(([key, value]) => value !== ALL[key]));
  if (open !== null) said.set("image", IMAGES.path[open]);
  const hash = String(said) && `#${said}`;
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
}
