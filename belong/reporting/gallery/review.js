// What a person says of the images: "mine, of class X", or "not mine". The browser keeps it, and
// review.csv, which `belong learn` reads, is saved from it.

const REVIEW = DATA.review;
const answers = new Map(); // place of an image -> the name of its class, or null: it is not mine
const reviewed = document.getElementById("reviewed");
const names = REVIEW ? [...REVIEW.class_names] : []; // and the new ones that were typed
const STORE = REVIEW && `belong review ${REVIEW.model} ${REVIEW.source}`;
const predictedOf = (at) => REVIEW.class_names[IMAGES.label[at]];
const exactPath = (at) => IMAGES.file?.[at] ?? IMAGES.path[at];

const answerOf = (at) =>
  !answers.has(at) ? "" : answers.get(at) === null ? "✗ not mine" : `✓ ${visible(answers.get(at))}`;

// A page of a file may be denied a store: then the answers last as long as the page.
function keepAnswers() {
  const kept = Object.fromEntries([...answers].map(([at, name]) => [exactPath(at), name]));
  try {
    if (answers.size) localStorage.setItem(STORE, JSON.stringify(kept));
    else localStorage.removeItem(STORE);
  } catch {
    reviewed.textContent += " This browser cannot store answers: save them before you close the page.";
  }
}

function readAnswers() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return;
  }
  const known = (name) => name === null || (typeof name === "string" && name !== "");
  for (let at = 0; at < COUNT; at++) {
    const path = exactPath(at);
    if (Object.hasOwn(kept, path) && known(kept[path])) {
      answers.set(at, kept[path]);
      offerClass(kept[path]);
    }
  }
}

function sayAnswers() {
  const foreign = [...answers.values()].filter((name) => name === null).length;
  const text = `${whole(answers.size)} of ${whole(COUNT)} images marked: ${whole(answers.size - foreign)} mine, ${whole(foreign)} not mine.`;
  reviewed.textContent = answers.size ? text : "No image is marked.";
  for (const id of ["save-review", "forget"]) document.getElementById(id).disabled = !answers.size;
}

// Set the answer of some images: the name of a class, null for "not mine", undefined for none.
function answer(places, name) {
  for (const at of places) {
    if (name === undefined) answers.delete(at);
    else answers.set(at, name);
  }
  offerClass(name);
  sayAnswers();
  keepAnswers();
}

const cellOf = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
// A spreadsheet would take such a path for a formula; "./" names the same file.
const asPath = (path) => (/^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(path) ? `./${path}` : path);

function reviewTable() {
  const rows = [...answers].sort(([a], [b]) => IMAGES.row[a] - IMAGES.row[b]);
  const lines = rows.map(([at, name]) =>
    [asPath(exactPath(at)), name === null ? "False" : "True", name ?? "", REVIEW.model, REVIEW.source]
      .map(cellOf)
      .join(","),
  );
  return ["path,belongs,class,model,folder", ...lines, ""].join("\n");
}

// `belong learn` refuses a new class that differs from another only in this.
const folded = (name) => name.normalize("NFC").toLowerCase();

// What a choice says: the name of a class, or null for "not mine".
function chosenAnswer(select, field) {
  if (select.value === "not") return null;
  if (select.value !== "new") return names[Number(select.value)];
  const typed = field.value.trim();
  return names.find((name) => folded(name) === folded(typed)) ?? typed;
}

const CHOICES = ["shown-answer", "panel-answer"].map((id) => document.getElementById(id));
const optionOf = (name, at) =>
  node("option", { value: String(at), textContent: `mine: ${visible(name)}` });

function offerAnswers(select) {
  select.append(
    node("option", { value: "not", textContent: "not mine" }),
    ...names.map(optionOf),
    node("option", { value: "new", textContent: "mine: a new class …" }),
  );
}

// A class that was typed once can be chosen from then on.
function offerClass(name) {
  if (typeof name !== "string" || names.includes(name)) return;
  names.push(name);
  for (const select of CHOICES) select.lastElementChild.before(optionOf(name, names.length - 1));
}

// Call changed() whenever an answer changes.
function onReview(changed) {
  if (!REVIEW) return;
  for (const id of ["review", "answer", "answered"]) document.getElementById(id).hidden = false;
  const [all, one] = CHOICES;
  const field = document.getElementById("shown-class");
  const name = document.getElementById("panel-class");
  for (const [select, input] of [[all, field], [one, name]]) {
    offerAnswers(select);
    select.addEventListener("change", () => {
      input.hidden = select.value !== "new";
      if (!input.hidden) input.focus();
    });
  }
  const take = (places, select, input) => {
    const said = chosenAnswer(select, input);
    if (said === "") return input.focus();
    answer(places, said);
    changed();
  };
  document.getElementById("mark-shown").addEventListener("click", () => take(onTiles, all, field));
  document.getElementById("mark").addEventListener("click", () => take([opened], one, name));
  document.getElementById("unmark").addEventListener("click", () => {
    answer([opened], undefined);
    changed();
  });
  document.getElementById("forget").addEventListener("click", () => {
    if (confirm(`Forget the ${whole(answers.size)} answers?`)) {
      answer([...answers.keys()], undefined);
      changed();
    }
  });
  document.getElementById("save-review").addEventListener("click", () =>
    saveFile(reviewTable(), "review.csv", "text/csv", `${whole(answers.size)} answers saved`),
  );
  // On a tile, and in the panel: N, M and U say it with one key.
  const byKey = (event, at) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const key = event.key.toLowerCase();
    if (key === "n") answer([at], null);
    else if (key === "m" && IMAGES.class[at] !== null) answer([at], predictedOf(at));
    else if (key === "u") answer([at], undefined);
    else return;
    event.preventDefault();
    changed();
  };
  tiles.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) byKey(event, Number(tile.dataset.at));
  });
  panel.addEventListener("keydown", (event) => opened !== null && byKey(event, opened));
  readAnswers();
  sayAnswers();
}
