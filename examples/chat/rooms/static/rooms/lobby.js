// The list of rooms: how many people are in each, live.

import { keepConnected, socketAddress } from "./socket.js";

const badges = document.querySelectorAll("[data-room]");
let shown = {}; // slug of a room -> the newest that we know of it

keepConnected({
  address: () => socketAddress("/ws/lobby"),
  onEvent: ({ rooms }) => showCounts(rooms),
  onState: (state) => state === "online" || forgetCounts(),
});

function showCounts(rooms) {
  for (const news of rooms) {
    // Two processes may have told of two changes at once: the later one counts, whichever came first.
    if (news.version >= (shown[news.room]?.version ?? 0)) shown[news.room] = news;
  }
  showBadges();
}

function forgetCounts() {
  shown = {};
  showBadges();
}

function showBadges() {
  for (const badge of badges) {
    const count = shown[badge.dataset.room]?.count ?? 0;
    badge.textContent = count ? `${count} here` : "";
  }
}
