
"use strict";
// Sorting: a header's button sorts by that column, best or smallest first, then the other way, then as it was.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.classList.contains("text") ? cell.textContent : null;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const sort = (column, sign) => {
    const rows = [...original];
    if (sign !== 0) {
      // What has no number stays last either way.
      rows.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * compare(x, y);
      });
    }
    body.append(...rows);
  };
  heads.forEach((head, column) => {
    const first = head.textContent.includes("↑") ? -1 : 1;
    const cycle = [first, -first, 0];
    let at = -1;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      at = (head.getAttribute("aria-sort") === "none" && at !== 2 ? 0 : at + 1) % 3;
      for (const other of heads) other.setAttribute("aria-sort", "none");
      const sign = cycle[at];
      head.setAttribute("aria-sort", sign === 0 ? "none" : sign > 0 ? "ascending" : "descending");
      if (sign === 0) at = -1;
      sort(column, sign);
    });
  });
}
// A narrow screen starts with the contents folded; a link into a fold opens it.
const contents = document.querySelector("nav details");
if (contents && matchMedia("(max-width: 75rem)").matches) contents.open = false;
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  const fold = target && target.closest("details");
  if (fold) fold.open = true;
};
addEventListener("hashchange", reveal);
reveal();
