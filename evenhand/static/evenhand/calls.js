// Who rings and waits renews itself every 5 seconds without taking the focus away; the clocks between go on by the second.
"use strict";

(() => {
  const box = document.getElementById("calls");
  if (!box) return;

  const renew = async () => {
    if (document.hidden || box.contains(document.activeElement)) return;
    try {
      const answer = await fetch(box.dataset.renew, { credentials: "same-origin", redirect: "error" });
      if (answer.ok && !box.contains(document.activeElement)) box.innerHTML = await answer.text();
    } catch {
      // No answer this time; the page keeps the time it says it is from.
    }
  };

  const tick = () => {
    box.querySelectorAll("[data-since]").forEach((clock) => {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(clock.dataset.since)) / 1000));
      const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
      const [hours, minutes, rest] = parts;
      const two = (number) => String(number).padStart(2, "0");
      clock.textContent = hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
    });
  };

  setInterval(tick, 1000);
  setInterval(renew, 5000);
  document.addEventListener("visibilitychange", renew);
})();
