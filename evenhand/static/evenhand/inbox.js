// The inbox by keyboard: n takes the next, j and k move, Enter opens, ? helps. A click anywhere on a row opens it too.
"use strict";

(() => {
  const rows = [...document.querySelectorAll("#inbox tbody tr")].filter((row) => row.querySelector(".eh-row-link"));
  const help = document.getElementById("keys");
  let here = -1;

  const go = (place) => {
    if (!rows.length) return;
    if (here >= 0) rows[here].classList.remove("eh-here");
    here = Math.max(0, Math.min(rows.length - 1, place));
    rows[here].classList.add("eh-here");
    rows[here].querySelector(".eh-row-link").focus({ preventScroll: true });
    rows[here].scrollIntoView({ block: "nearest" });
  };

  rows.forEach((row, place) => {
    row.addEventListener("click", (event) => {
      if (event.target.closest("a, button") || String(window.getSelection())) return;
      row.querySelector(".eh-row-link").click();
    });
    row.querySelector(".eh-row-link").addEventListener("focus", () => {
      if (place !== here) go(place);
    });
  });

  document.querySelectorAll("[data-opens=keys]").forEach((button) => {
    button.addEventListener("click", () => help.showModal());
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select") || help.open) return;
    const next = document.getElementById("take-next");
    if (event.key === "n" && next) next.requestSubmit();
    else if (event.key === "j") go(here + 1);
    else if (event.key === "k") go(here < 0 ? 0 : here - 1);
    else if (event.key === "?") help.showModal();
    else if (event.key === "Enter" && here >= 0 && !event.target.closest("a, button")) rows[here].querySelector(".eh-row-link").click();
    else return;
    event.preventDefault();
  });
})();
