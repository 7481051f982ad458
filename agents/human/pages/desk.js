"use strict";
// What agents said is text and never markup: all of it goes in by textContent.

const WHO = { system: "Your part", user: "You are asked", assistant: "You said" };
const EVERY_MS = 1000;
const at = (id) => document.getElementById(id);
let key = decodeURIComponent(location.hash.slice(1));
let shown = null;
let sending = false;
let lost = false;
let typed = "";

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}` },
    body: body && JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({ error: `The run answered ${answer.status}.` }));
  return { status: answer.status, found };
}

function say(words) {
  at("notice").textContent = words;
  at("notice").hidden = !words;
}

function element(tag, name, words) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = words;
  return made;
}

function show(found) {
  const { question, waiting, replies } = found;
  at("counts").textContent = `${waiting} waiting, ${replies} answered since the run was started`;
  document.title = waiting ? `(${waiting}) Moot` : "Moot";
  at("door").hidden = true;
  at("idle").hidden = question !== null;
  at("desk").hidden = question === null;
  if (question?.name === shown?.name) return;
  shown = question;
  typed = "";
  say("");
  if (question === null) return;
  at("prompt").replaceChildren(...question.prompt.map(({ role, content }) => {
    const part = element("section", role, "");
    part.append(element("p", "who", WHO[role]), element("div", "said", content));
    return part;
  }));
  const chosen = question.choices.length > 0;
  at("choices").hidden = !chosen;
  at("free").hidden = chosen;
  at("choices").replaceChildren(at("choices").firstElementChild, ...question.choices.map((words) => {
    const label = element("label", "choice", words);
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "choice", value: words });
    label.prepend(input);
    return label;
  }));
  at("text").value = "";
  at("text").className = question.shape ? "json" : "";
  at("form").textContent = question.shape ? "JSON, in the form that is asked for above." : "";
  at("keys").textContent = chosen
    ? "Its first letters choose, Enter sends. What was sent stands."
    : "Ctrl+Enter sends. What was sent stands.";
  scrollTo(0, 0);
  if (!chosen) at("text").focus();
}

function chosen() {
  return document.querySelector("[name=choice]:checked")?.value;
}

async function reply(text) {
  if (sending || shown === null) return;
  sending = true;
  for (const button of at("desk").querySelectorAll("button")) button.disabled = true;
  try {
    const { status, found } = await ask("reply", { question: shown.name, text });
    if (status === 200) show(found);
    else say(found.error);
    if (status === 409) await look();
  } catch {
    lost = true;
    say("The run can't be reached: it has ended, or was stopped. Your reply may not have been taken.");
  } finally {
    sending = false;
    for (const button of at("desk").querySelectorAll("button")) button.disabled = false;
  }
}

async function look() {
  try {
    const { status, found } = await ask("question");
    if (status === 200) {
      if (lost) say("");
      lost = false;
      show(found);
    } else {
      at("door").hidden = false;
      at("desk").hidden = at("idle").hidden = true;
      shown = null;
      say(key ? found.error : "");
    }
  } catch {
    lost = true;
    say("The run can't be reached: it has ended, or was stopped.");
  }
}

at("desk").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = shown.choices.length ? chosen() : at("text").value;
  if (text === undefined) say("Choose one first.");
  else reply(text);
});
at("decline").addEventListener("click", () => reply(null));
at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  look();
});
document.addEventListener("keydown", (event) => {
  if (shown === null || at("desk").hidden || event.altKey || event.metaKey) return;
  if (event.key === "Enter" && (event.ctrlKey || shown.choices.length) && event.target.tagName !== "BUTTON") {
    event.preventDefault();
    at("desk").requestSubmit();
  } else if (shown.choices.length && event.key.length === 1 && !event.ctrlKey) {
    const begins = (words) => shown.choices.find((one) => one.toLowerCase().startsWith(words));
    typed += event.key.toLowerCase();
    const found = begins(typed) ?? begins(typed = event.key.toLowerCase());
    for (const input of document.querySelectorAll("[name=choice]")) input.checked = input.value === found;
  }
});

look();
setInterval(() => sending || look(), EVERY_MS);
