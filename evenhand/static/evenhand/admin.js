// On every page of the admin: forms are sent once, boxes grow with what is typed, and an unsent answer outlives a reload.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-once")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  // After this event, so that the pressed button is still sent with the form.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
});

window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  document.querySelectorAll("form[data-once]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  });
});

const grow = (box) => {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, window.innerHeight * 0.4)}px`;
};

document.querySelectorAll("textarea[data-grows]").forEach((box) => {
  const form = box.closest("form");
  const place = form && form.dataset.keeps;
  const typed = (place && sessionStorage.getItem(place)) || "";
  const sent = [...document.querySelectorAll(".eh-ours .eh-text")].some((text) => text.textContent.trim() === typed.trim());
  if (typed && sent) sessionStorage.removeItem(place);
  else if (typed.startsWith(box.value)) box.value = typed; // the page may know less than this browser, never more
  if (box.value) grow(box);
  box.addEventListener("input", () => {
    grow(box);
    if (place) sessionStorage.setItem(place, box.value);
  });
});

const thread = document.querySelector(".eh-thread");
if (thread && thread.lastElementChild && !location.search) {
  thread.lastElementChild.scrollIntoView({ block: "center" });
}
