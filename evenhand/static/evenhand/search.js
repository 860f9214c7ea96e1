// The search box: “/” goes to it, and the arrows go through what was found. Without this file everything works by Tab and Enter.
"use strict";

const typesNow = (place) => place instanceof HTMLElement && (place.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(place.tagName));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const box = document.querySelector("input[data-search]");
  if (event.key === "/" && box && !typesNow(document.activeElement)) {
    event.preventDefault();
    box.focus();
    box.select();
    return;
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const finds = [...document.querySelectorAll("a[data-find]")];
  const here = finds.indexOf(document.activeElement);
  if (!finds.length || (here < 0 && document.activeElement !== box)) return;
  event.preventDefault();
  const next = event.key === "ArrowDown" ? finds[here + 1] : here > 0 ? finds[here - 1] : box;
  if (next) next.focus();
});
