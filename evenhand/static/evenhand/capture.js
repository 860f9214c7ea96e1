// What was noted where there is no connection stays on this device, with its photos, and is sent once there is one (R054).
"use strict";

(() => {
  const form = document.querySelector("form[data-keeps-notes]");
  if (!form || !window.indexedDB) return;
  const who = form.dataset.keepsNotes;
  const said = document.getElementById("notes-kept");

  const rows = (mode, act) => new Promise((resolve, reject) => {
    const opening = indexedDB.open("evenhand-notes", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("notes", { keyPath: "key" });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("notes", mode);
      const asked = act(transaction.objectStore("notes"));
      transaction.oncomplete = () => { opening.result.close(); resolve(asked.result); };
      transaction.onerror = () => reject(transaction.error);
    };
  });
  const mine = async () => (await rows("readonly", (notes) => notes.getAll())).filter((note) => note.who === who);

  const post = (fields) => {
    const body = new FormData();
    for (const [name, value] of fields) if (name !== "csrfmiddlewaretoken") body.append(name, value);
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    return fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  };
  const isWrittenDown = (answer) => answer.ok && answer.redirected && new URL(answer.url).pathname.includes("/conversation/");

  const tell = async (words) => {
    const count = (await mine()).length;
    said.textContent = count ? `${words || form.dataset.waiting} (${count})` : words || "";
    said.hidden = !said.textContent;
  };

  const putBack = (note) => {
    for (const [name, value] of note.fields) {
      if (typeof value !== "string" || name === "csrfmiddlewaretoken") continue;
      const field = form.elements.namedItem(name);
      if (field) field.value = value;
    }
    form.querySelectorAll("details").forEach((one) => { one.open = true; });
  };

  let isSending = false;
  const sendKept = async () => {
    if (isSending) return;
    isSending = true;
    try {
      for (const note of await mine()) {
        const answer = await post(note.fields);
        if (isWrittenDown(answer)) {
          await rows("readwrite", (notes) => notes.delete(note.key));
          await tell((await mine()).length ? "" : form.dataset.sent);
        } else if (answer.status === 409 || (answer.status === 200 && !answer.redirected)) {
          // It needs another look: it stands in the form again, with its own time, and its photos are still here.
          if (!form.elements.said.value) putBack(note);
          return await tell(form.dataset.refused);
        } else return await tell(form.dataset.waiting); // logged out, or not well: it stays
      }
    } catch (trouble) {
      if (!(trouble instanceof TypeError)) throw trouble; // that is what fetch says of a line that is down
      await tell(form.dataset.waiting);
    } finally {
      isSending = false;
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    form.elements.kept_at.value ||= new Date().toISOString();
    const key = form.elements.key.value;
    const before = (await mine()).find((one) => one.key === key); // a field for files cannot be filled again, so they come along
    const photos = before ? before.fields.filter(([, value]) => value instanceof File && value.size) : [];
    const note = { key, who, fields: [...new FormData(form), ...photos] };
    try {
      const answer = await post(note.fields);
      if (isWrittenDown(answer)) {
        await rows("readwrite", (notes) => notes.delete(note.key));
        location.assign(answer.url);
      } else {
        form.submit(); // the same words once more, so that the page says what is amiss; the key makes them one
      }
    } catch (trouble) {
      if (!(trouble instanceof TypeError)) throw trouble;
      await rows("readwrite", (notes) => notes.put(note));
      form.reset();
      form.elements.kept_at.value = "";
      form.elements.key.value = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`;
      button.disabled = false;
      await tell(form.dataset.kept);
      said.scrollIntoView({ block: "nearest" });
    }
  });

  window.addEventListener("online", sendKept);
  setInterval(sendKept, 60000);
  sendKept();
})();
