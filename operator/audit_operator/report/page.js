"use strict";
(() => {
  const heat = document.getElementById("heat");
  const details = document.getElementById("details");
  const names = [...heat.tHead.rows[0].cells];
  const verdicts = {c: "Covered", p: "Partial", g: "Gap", l: "Leak", n: "does not concern it"};
  const cells = row => [...row.cells].filter(each => each.tagName === "TD");
  const rows = () => [...heat.tBodies[0].rows].filter(each => !each.hidden);
  const place = row => (row.querySelector("summary") || row.cells[0]).textContent;
  let current = null;

  const line = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  };

  const proved = said => {
    if (said === "x") return "A live probe contradicts this: a record is not as predicted. See the policies below.";
    if (said === "m") return "A record of a live probe was not found in time. See the policies below.";
    if (!said) return "Claimed by the policy; no live probe has shown it.";
    const [part, day] = said.split(" "), [some, all] = part.split("/");
    const where = all === "1" ? "" : ` in ${some} of ${all} namespaces`;
    return `Proved by live probes${where}${day ? `, the oldest of ${day}` : ""}.`;
  };

  const show = cell => {
    const column = names[cell.cellIndex];
    const shown = [line("h3", `${column.lastChild.textContent} in ${place(cell.parentElement)}: ${verdicts[cell.classList[0]]}`)];
    shown.push(line("p", column.title));
    if (heat.dataset.probed !== undefined && !cell.classList.contains("n")) shown.push(line("p", proved(cell.dataset.p || "")));
    for (const number of (cell.dataset.f || "").split(" ").filter(Boolean)) {
      const body = document.querySelector(`#f${number} .body`).cloneNode(true);
      shown.push(body);
    }
    details.replaceChildren(...shown);
  };

  const move = (cell, focus) => {
    if (current) {
      current.tabIndex = -1;
      current.classList.remove("at");
    }
    current = cell;
    cell.tabIndex = 0;
    if (focus) {
      cell.classList.add("at");
      cell.focus({preventScroll: true});
      cell.scrollIntoView({block: "nearest", inline: "nearest"});
      show(cell);
    }
  };

  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    Home: [0, -Infinity], End: [0, Infinity], PageUp: [-10, 0], PageDown: [10, 0]};
  const within = (number, end) => Math.max(0, Math.min(number, end));

  heat.addEventListener("keydown", event => {
    const step = steps[event.key];
    if (!step || !event.target.matches("td") || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const all = rows(), row = event.target.parentElement;
    const target = all[within(all.indexOf(row) + step[0], all.length - 1)];
    const line = cells(target);
    move(line[within(event.target.cellIndex - 1 + step[1], line.length - 1)], true);
  });
  heat.addEventListener("click", event => {
    const cell = event.target.closest("td");
    if (cell) move(cell, true);
  });
  heat.addEventListener("focusin", event => {
    if (event.target.matches("td") && !event.target.classList.contains("at")) move(event.target, true);
  });

  const filter = document.getElementById("filter");
  const search = document.getElementById("search"), only = document.getElementById("only");
  const apply = () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of heat.tBodies[0].rows) {
      const named = row.cells[0].textContent.toLowerCase().includes(wanted);
      row.hidden = !named || (only.checked && !row.querySelector(".g,.l,.p"));
    }
    const first = rows()[0];
    if (first && (!current || current.parentElement.hidden)) move(cells(first)[0], false);
  };
  search.addEventListener("input", apply);
  only.addEventListener("change", apply);
  filter.hidden = false;
  const first = rows()[0];
  if (first) move(cells(first)[0], false);

  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
