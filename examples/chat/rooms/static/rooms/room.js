// One room: who is here, what is said, and a box to say something.
// Text from other people only ever becomes `textContent`, never HTML.

import { keepConnected, socketAddress } from "./socket.js";

const config = JSON.parse(document.getElementById("room-config").textContent);
const element = (id) => document.getElementById(id);
const [log, empty, newer, state, people, composer, text, problem] =
  ["log", "empty", "newer", "state", "people", "composer", "text", "problem"].map(element);

const STATES = {
  connecting: "Connecting…",
  online: "Online",
  offline: "Offline, reconnecting…",
  closed: "Disconnected",
};
const pageTitle = document.title;

let here = null; // names in the room; null until the first list after a (re)connection
let peopleVersion = 0;
let unread = 0;

const myName = config.name ?? (await rememberedName());
element("my-name").textContent = myName;
element("rename")?.addEventListener("click", () => askName(myName).then(() => location.reload()));

const connection = keepConnected({ address, onEvent, onState: showState });

// ---------------------------------------------------------------- connection

async function address() {
  if (!config.name) return socketAddress(config.socketPath, { name: myName });
  // A room for members lets in who is logged in. If we are no more, this page leads to the log-in.
  const page = await fetch(location.href, { method: "HEAD" });
  if (page.redirected) location.reload();
  return socketAddress(config.socketPath);
}

function onEvent(event) {
  if (event.type === "message") showMessage(event);
  else if (event.type === "history") showHistory(event.messages);
  else if (event.type === "people") showPeople(event);
  else if (event.type === "error") problem.textContent = event.text;
}

function showState(name, reason) {
  state.dataset.state = name;
  state.textContent = STATES[name];
  element("send").disabled = name !== "online";
  problem.textContent = reason ?? "";
  if (name !== "online") [here, peopleVersion] = [null, 0];
  if (name === "closed" && !config.name) localStorage.removeItem("name");
}

// ------------------------------------------------------------------ messages

function showHistory(messages) {
  for (const message of messages) addMessage(message);
  empty.hidden = log.querySelector(".message") !== null;
  scrollToEnd();
}

function showMessage(message) {
  const atEnd = isAtEnd();
  addMessage(message);
  empty.hidden = true;
  if (message.author === myName || (atEnd && !document.hidden)) scrollToEnd();
  else countUnread();
}

function addMessage({ id, author, text, sent_at }) {
  const known = document.getElementById(`message-${id}`);
  if (known) {
    // The history after a reconnection repeats some; and the admin may have corrected one.
    known.querySelector(".text").textContent = text;
    return;
  }
  const item = create("li", author === myName ? "message mine" : "message");
  item.id = `message-${id}`;
  item.dataset.id = id;
  const head = create("p", "message-head");
  head.append(create("bdi", "author", author), timeOf(sent_at));
  const body = create("p", "text", text);
  body.dir = "auto";
  item.append(avatar(author), head, body);
  const later = [...log.children].find((other) => Number(other.dataset.id) > id);
  log.insertBefore(item, later ?? null);
}

function timeOf(moment) {
  const date = new Date(moment);
  const time = create("time", "", date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = moment;
  time.title = date.toLocaleString();
  return time;
}

// ------------------------------------------------- scrolling and what is unread

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 48;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
  unread = 0;
  showUnread();
}

function countUnread() {
  unread += 1;
  showUnread();
}

function showUnread() {
  newer.hidden = unread === 0;
  newer.textContent = unread === 1 ? "1 new message" : `${unread} new messages`;
  document.title = unread ? `(${unread}) ${pageTitle}` : pageTitle;
}

newer.addEventListener("click", scrollToEnd);
log.addEventListener("scroll", () => unread && isAtEnd() && scrollToEnd());
document.addEventListener("visibilitychange", () => document.hidden || (isAtEnd() && scrollToEnd()));

// -------------------------------------------------------------------- people

function showPeople({ names, version }) {
  // Two processes may have told of two changes at once: the later one counts, whichever came first.
  if (version < peopleVersion) return;
  peopleVersion = version;
  for (const name of here ? names : []) if (!here.includes(name)) addNotice(`${name} joined`);
  for (const name of here ?? []) if (!names.includes(name)) addNotice(`${name} left`);
  here = names;
  people.replaceChildren(...names.map(personItem));
  element("people-count").textContent = names.length;
}

function personItem(name) {
  const item = create("li", "person");
  item.append(avatar(name), create("bdi", "", name));
  if (name === myName) item.append(create("span", "you", "you"));
  return item;
}

function addNotice(words) {
  const atEnd = isAtEnd();
  log.append(create("li", "notice", words));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// ------------------------------------------------------------- saying something

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words || !connection.send({ text: words })) return; // offline: what was written stays
  text.value = "";
  problem.textContent = "";
  fitText();
});

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});

text.addEventListener("input", fitText);

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
}

// ---------------------------------------------------------------- the own name

async function rememberedName() {
  return localStorage.getItem("name") || askName("");
}

function askName(current) {
  const dialog = element("name-dialog");
  const input = element("name");
  input.value = current;
  if (!current) dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    element("name-form").onsubmit = (event) => {
      const name = input.value.trim().replace(/\s+/g, " ");
      if (!name) return event.preventDefault();
      localStorage.setItem("name", name);
      resolve(name);
    };
  });
}

// ------------------------------------------------------------------- elements

function create(tag, className = "", words = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = words;
  return made;
}

function avatar(name) {
  const made = create("span", "avatar", [...name][0].toUpperCase());
  made.setAttribute("aria-hidden", "true");
  const hue = [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 360, 7);
  made.style.setProperty("--hue", hue);
  return made;
}
