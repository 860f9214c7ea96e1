// The place where answers are written: a draft is kept on the server while one types, Ctrl and Enter sends, the seconds to take
// an answer back are counted, and what is on its way renews itself. Without it, everything works by pressing buttons.
"use strict";

(() => {
  const form = document.getElementById("answer-form");
  if (!form) return;
  const box = form.elements.answer;
  const kept = document.getElementById("kept");
  const send = document.getElementById("send");

  // --- keeping the draft, one request after the other, each going on from the version before ---------------------------
  const QUIET_FOR = 1200;
  let known = box.hasAttribute("data-unkept") ? null : box.defaultValue; // a refused answer may have words that no draft has
  let timer = 0;
  let running = null;
  let stopped = false;

  const body = () => {
    const data = new URLSearchParams();
    for (const name of ["csrfmiddlewaretoken", "key", "version", "answer"]) data.set(name, form.elements[name].value);
    return data;
  };

  const keep = async () => {
    if (stopped || running || box.value === known) return;
    const text = box.value;
    running = new AbortController();
    try {
      const answer = await fetch(form.dataset.draft, {
        method: "POST", body: body(), credentials: "same-origin", redirect: "error", signal: running.signal,
      });
      const told = await answer.json();
      if (answer.ok) {
        known = text;
        form.elements.version.value = told.version;
        kept.textContent = told.words;
      } else if (answer.status === 409) {
        stopped = true;
        kept.textContent = told.refused;
      }
    } catch {
      // No line, or logged out: this browser still keeps what was typed, and the next words try again.
    }
    running = null;
    if (box.value !== known) later();
  };

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(keep, QUIET_FOR);
  };

  box.addEventListener("input", later);
  if (box.value !== known) later(); // what this browser had kept from before
  form.addEventListener("submit", () => {
    stopped = true; // what is sent is no draft any more
    clearTimeout(timer);
    if (running) running.abort();
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden || stopped || running || box.value === known) return;
    clearTimeout(timer);
    keep();
  });

  // --- keys and the moment it leaves -----------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    const near = event.target.closest("form");
    if (near === form) form.requestSubmit(send);
    else if (near && near.querySelector("#note")) near.requestSubmit();
    else return;
    event.preventDefault();
  });

  const now = send.textContent;
  const moment = form.elements.later;
  const named = () => { send.textContent = moment.value ? send.dataset.later : now; };
  moment.addEventListener("input", named);
  named();
})();

(() => {
  // --- what is on its way ----------------------------------------------------------------------------------------------
  const began = performance.now();
  const LOOKED = [1500, 2500, 4000, 8000, 15000, 30000];
  let looks = 0;

  const renew = async () => {
    const moving = [...document.querySelectorAll(".eh-sent[data-moves]")];
    if (!moving.length || looks >= LOOKED.length) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const old of moving) {
          const fresh = page.getElementById(old.id);
          if (fresh && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(fresh));
        }
      }
    } catch {
      // The next look may succeed.
    }
    setTimeout(renew, LOOKED[looks++] || 30000);
  };

  const count = () => {
    const gone = (performance.now() - began) / 1000;
    let left = 0;
    for (const words of document.querySelectorAll("[data-leaves-in]")) {
      const seconds = Math.ceil(words.dataset.leavesIn - gone);
      left = Math.max(left, seconds);
      if (seconds > 0) {
        words.textContent = words.textContent.replace(/\d+/, seconds);
      } else {
        words.textContent = words.dataset.then;
        delete words.dataset.leavesIn;
        words.closest(".eh-sent").querySelector("form")?.remove();
      }
    }
    if (left > 0) setTimeout(count, 250);
    else setTimeout(renew, LOOKED[0]);
  };
  if (document.querySelector(".eh-sent[data-moves]")) count();
})();
