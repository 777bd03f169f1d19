// A WebSocket that comes back. No library: this is all a page needs.

const FIRST_DELAY = 500; // milliseconds, doubled at each failure
const LONGEST_DELAY = 15_000;
const LOGGED_OUT = 4401; // closed by the server's authentication

/**
 * Keep a page connected, and connect again with growing delays when the connection is lost.
 *
 * Every endpoint of this site greets with a message, and that is when the page counts as online: a server that
 * accepts only to say no, or to fail, has not let it in.
 *
 * @param {object} options
 * @param {() => string | Promise<string>} options.address Asked before every attempt.
 * @param {(event: object) => void} options.onEvent Called with each JSON message.
 * @param {(state: "connecting" | "online" | "offline" | "closed", reason?: string) => void} options.onState
 * @returns {{ send: (data: object) => boolean }} `send` tells whether the message could be handed over.
 */
export function keepConnected({ address, onEvent, onState }) {
  let socket = null;
  let failures = 0;
  let timer = 0;

  async function open() {
    clearTimeout(timer);
    timer = 0;
    let greeted = false;
    let url;
    try {
      url = await address();
    } catch {
      return retryLater();
    }
    socket = new WebSocket(url);
    socket.onmessage = ({ data }) => {
      if (!greeted) onState("online");
      greeted = true;
      failures = 0;
      onEvent(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      socket = null;
      // From 4000 up the application itself said no: trying again would not help.
      // (Who was logged out is not told to stay away: `address` knows what to do.)
      if (code >= 4000 && code !== LOGGED_OUT) onState("closed", reason);
      else retryLater();
    };
  }

  function retryLater() {
    onState("offline");
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures);
    failures += 1;
    // The random part keeps a thousand pages from coming back in the same instant.
    timer = setTimeout(open, delay * (0.5 + Math.random() / 2));
  }

  function retryNow() {
    if (timer && !socket) open();
  }

  addEventListener("online", retryNow);
  addEventListener("offline", () => socket?.close());
  document.addEventListener("visibilitychange", () => document.hidden || retryNow());

  onState("connecting");
  open();

  return {
    send(data) {
      if (socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(data));
      return true;
    },
  };
}

/** The absolute address of an endpoint on this site, with the scheme that fits the page's. */
export function socketAddress(path, query = {}) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams(query);
  return url.href;
}
