// Sort a table by the column of a heading's button; again, the other way round.
// Cells without a number stay last, whichever way.
function sortBy(button) {
  const heading = button.closest("th");
  const table = button.closest("table");
  const turned = { ascending: "descending", descending: "ascending" };
  const now = heading.getAttribute("aria-sort");
  const order = now ? turned[now] : button.dataset.first;
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);

  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row, keyOf(row.cells[heading.cellIndex])]);
  rows.sort(([, a], [, b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  });
  body.append(...rows.map(([row]) => row));
}

function keyOf(cell) {
  const number = cell.dataset.number;
  if (number === undefined) return cell.textContent.trim();
  return number === "" ? null : Number(number);
}

for (const button of document.querySelectorAll(".sortable thead button"))
  button.addEventListener("click", () => sortBy(button));
