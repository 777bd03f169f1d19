// The list of rooms: how many people are in each, live.

import { keepConnected, socketAddress } from "./socket.js";

const badges = document.querySelectorAll("[data-room]");

keepConnected({
  address: () => socketAddress("/ws/lobby"),
  onEvent: ({ counts }) => showCounts(counts),
  onState: (state) => state === "online" || showCounts({}),
});

function showCounts(counts) {
  for (const badge of badges) {
    const count = counts[badge.dataset.room] ?? 0;
    badge.textContent = count ? `${count} here` : "";
  }
}
