"use strict";
// What agents said is text and never markup: all of it goes in by textContent.

const WHO = { system: "Your part", user: "You are asked", assistant: "You said" };
const EVERY_MS = 1000;
const GRACE_MS = 400; // a second click was meant for the question before
const GONE = "This isn't asked any more: somebody answered it, or the run was stopped and goes on.";
const LOST = "The run can't be reached: it has ended, or was stopped.";
const at = (id) => document.getElementById(id);

const page = sessionStorage.getItem("page") ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
sessionStorage.setItem("page", page);
let key = fromAddress();
let shown = null; // the question that is on the page
let since = 0; // when it came there
let replies = 0; // how many were sent: a look that began before the last is of no use
let sending = false;
let looking = false;
let typed = "";

function fromAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}` },
    body: body && JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({ error: `The run answered ${answer.status}.` }));
  return { status: answer.status, found };
}

function write(id, words) {
  if (at(id).textContent !== words) at(id).textContent = words;
}

function say(words) {
  write("notice", words);
  at("notice").hidden = !words;
}

function element(tag, name, words) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = words;
  return made;
}

function count({ waiting, replies: answered }) {
  write("counts", `${waiting} waiting, ${answered} answered since the run was started`);
  document.title = waiting ? `(${waiting}) Moot` : "Moot";
}

function ready(is) {
  at("send").setAttribute("aria-disabled", String(!is));
  at("decline").setAttribute("aria-disabled", String(!is));
  at("next").hidden = is;
}

// Put a question on the page, or say that there is none.
function put(question) {
  const again = shown !== null && question !== null && alike(shown, question);
  at("door").hidden = true;
  at("idle").hidden = question !== null;
  at("desk").hidden = question === null;
  shown = question;
  say("");
  ready(true);
  if (question === null || again) return; // what was begun holds for the same question
  since = performance.now();
  typed = "";
  at("prompt").replaceChildren(...question.prompt.map(({ role, content }) => {
    const part = element("section", role, "");
    part.append(element("p", "who", WHO[role]), element("div", "said", content));
    return part;
  }));
  const chosen = question.choices.length > 0;
  at("choices").hidden = !chosen;
  at("free").hidden = chosen;
  at("decline").hidden = !question.may_be_declined;
  at("choices").replaceChildren(at("choices").firstElementChild, ...question.choices.map((words) => {
    const label = element("label", "choice", words);
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "choice", value: words });
    label.prepend(input);
    return label;
  }));
  at("text").value = "";
  at("text").className = question.shape ? "json" : "";
  write("form", question.shape ? "JSON, in the form that is asked for above." : "");
  write("keys", `${chosen ? "Type a choice; Enter" : "Ctrl+Enter"} sends. What was sent stands.`);
  at("prompt").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function alike(one, other) {
  const held = ({ prompt, choices, shape }) => JSON.stringify([prompt, choices, shape]);
  return held(one) === held(other);
}

function chosen() {
  return document.querySelector("[name=choice]:checked")?.value;
}

async function reply(text) {
  const early = performance.now() - since < GRACE_MS;
  if (sending || early || shown === null || !at("next").hidden) return;
  sending = true;
  replies += 1;
  try {
    const { status, found } = await ask("reply", { page, question: shown.name, text });
    if (status === 200) {
      shown = null;
      count(found);
      put(found.question);
    } else if (status === 409) {
      say(found.error);
      ready(false);
    } else say(found.error);
  } catch {
    say(`${LOST} Your reply may not have been taken.`);
  } finally {
    sending = false;
  }
}

async function look(next = false) {
  if (sending || looking) return;
  looking = true;
  const before = replies;
  try {
    const { status, found } = await ask(`question?page=${encodeURIComponent(page)}`);
    if (before !== replies) return;
    if (status === 200) {
      count(found);
      const { question } = found;
      if (at("notice").textContent.startsWith(LOST)) say("");
      if (shown !== null && shown.name === question?.name) return;
      if (next || shown === null || (question !== null && alike(shown, question))) put(question);
      else {
        say(GONE);
        ready(false);
      }
    } else if (status === 401) {
      at("door").hidden = false;
      at("desk").hidden = at("idle").hidden = true;
      shown = null;
      say(key ? found.error : "");
    } else say(found.error);
  } catch {
    say(LOST);
  } finally {
    looking = false;
  }
}

function enter(given) {
  const ascii = /^[\x20-\x7e]*$/.test(given);
  key = ascii ? given : "";
  look().then(() => ascii || say("The key is another one."));
}

at("desk").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = shown.choices.length ? chosen() : at("text").value;
  if (text === undefined) say("Choose one first.");
  else reply(text);
});
at("decline").addEventListener("click", () => reply(null));
at("next").addEventListener("click", () => look(true));
at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(at("key").value.trim());
});
addEventListener("hashchange", () => enter(fromAddress()));
document.addEventListener("keydown", (event) => {
  const { key: pressed, target } = event;
  const button = target.tagName === "BUTTON";
  if (shown === null || at("desk").hidden || button || event.altKey || event.metaKey) return;
  if (event.isComposing || event.repeat) return;
  const choices = shown.choices;
  if (pressed === "Enter" && (event.ctrlKey || choices.length)) {
    event.preventDefault();
    at("desk").requestSubmit();
  } else if (choices.length && pressed.length === 1 && pressed !== " " && !event.ctrlKey) {
    const begun = (words) => choices.find((one) => one.toLowerCase().startsWith(words));
    const longer = typed + pressed.toLowerCase();
    typed = begun(longer) ? longer : pressed.toLowerCase();
    const found = begun(typed);
    for (const input of document.querySelectorAll("[name=choice]")) {
      if (found) input.checked = input.value === found;
    }
  }
});

enter(key);
setInterval(() => look(), EVERY_MS);
