// The threshold, moved: what another alpha would reject, and how many good images that costs. With n
// calibration images a p-value is a rank of n + 1, and alpha rejects the ranks up to alpha (n + 1).

const CALIBRATED = DATA.review?.calibrated ?? null; // none: the threshold promises nothing
const OWN = IMAGES.belongs.slice(); // the verdicts as they were given
const alphas = CALIBRATED ? alphasOf(CALIBRATED) : [];
const slider = document.getElementById("alpha");

const rejectable = (alpha) => Math.floor(alpha * (CALIBRATED.images + 1) + 1e-9);
const percent = (share) => `${plain(Number((100 * share).toPrecision(3)))}%`;

// From the least alpha that can reject an image to one half, evenly on a logarithmic axis.
function alphasOf({ alpha, images }) {
  const least = Math.min(0.5, Math.ceil(1e4 / (images + 1)) / 1e4);
  const steps = 120;
  const all = [...Array(steps + 1).keys()].map((at) =>
    Number((least * (0.5 / least) ** (at / steps)).toPrecision(2)),
  );
  const inside = [least, ...all.filter((one) => one > least && one <= 0.5), alpha];
  return [...new Set(inside)].sort((a, b) => a - b);
}

// Give each image the verdict of the alpha at this place of the slider.
function moveThreshold(place) {
  const alpha = alphas[place];
  if (alpha === undefined) return;
  const isOwn = alpha === CALIBRATED.alpha;
  if (!isOwn) slider.closest("details").open = true; // the verdicts are not those of the run
  const rank = rejectable(alpha);
  IMAGES.p_value.forEach((p, at) => {
    IMAGES.belongs[at] = isOwn ? OWN[at] : Math.round(p * (CALIBRATED.images + 1)) > rank;
  });
  DATA.limit = isOwn ? DATA.threshold : (CALIBRATED.thresholds[rank - 1] ?? DATA.threshold);
  const counted = CALIBRATED.ranks.reduce((sum, [one, count]) => sum + (one <= rank ? count : 0), 0);
  const rejected = isOwn ? CALIBRATED.rejected : counted;
  const cost = Number((100 * alpha).toPrecision(2));
  const text =
    `At ${percent(alpha)}: ${whole(rejected)} of ${whole(CALIBRATED.scored)} images ` +
    `${rejected === 1 ? "is" : "are"} rejected. Of 100 normal images about ${plain(cost)} ` +
    `${cost > 1 ? "are" : "is"} rejected${isOwn ? ": the alpha of these verdicts" : ""}.`;
  document.getElementById("cost").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  document.getElementById("command").textContent = `${CALIBRATED.command} --alpha ${plain(alpha)}`;
}

if (CALIBRATED) {
  slider.max = alphas.length - 1;
  slider.defaultValue = alphas.indexOf(CALIBRATED.alpha);
  slider.value = slider.defaultValue;
  ALL.alpha = slider.value;
  const [least, most] = [alphas[0], alphas.at(-1)];
  document.getElementById("least").textContent = percent(least);
  document.getElementById("most").textContent = percent(most);
  document.getElementById("copy-command").addEventListener("click", () =>
    copyText(document.getElementById("command").textContent, "Command copied"),
  );
}
