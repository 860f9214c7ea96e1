// Today's numbers renew themselves every 30 seconds, without a flicker and without taking the focus away.
"use strict";

(() => {
  const box = document.getElementById("today");
  const said = document.getElementById("today-said");
  if (!box) return;

  const numbers = () => [...box.querySelectorAll(".eh-tile")].map((tile) => tile.textContent.trim().replace(/\s+/g, " "));

  const renew = async () => {
    if (document.hidden || box.contains(document.activeElement)) return;
    try {
      const answer = await fetch(box.dataset.renew, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const before = numbers();
      box.innerHTML = await answer.text();
      const changed = numbers().filter((number) => !before.includes(number));
      if (changed.length) said.textContent = changed.join(", ");
    } catch {
      // No answer this time; the page keeps the time it says it is from.
    }
  };

  setInterval(renew, 30000);
  document.addEventListener("visibilitychange", renew);
})();
