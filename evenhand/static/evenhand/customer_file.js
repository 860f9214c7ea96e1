// How far a file is renews itself every 2 seconds without taking the focus away; once it is settled, the whole page is shown anew.
"use strict";

(() => {
  const box = document.getElementById("file-now");
  if (!box) return;

  const renew = async () => {
    if (document.hidden || box.contains(document.activeElement)) return;
    try {
      const answer = await fetch(box.dataset.renew, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      box.innerHTML = await answer.text();
      const state = box.querySelector("[data-state]");
      if (state && !["ready", "claimed"].includes(state.dataset.state)) location.reload();
    } catch {
      // No answer this time; the link beside the bar shows the page anew.
    }
  };

  setInterval(renew, 2000);
  document.addEventListener("visibilitychange", renew);
})();
