// The handlers on ws, the WebSocket library of Node. Usage: node server.js PORT
"use strict";

const { verify } = require("jsonwebtoken");
const { WebSocketServer } = require("ws");

const HEARTBEAT = 20_000;
const SECRET = "only-for-benchmarks-on-the-loopback-interface";
const connectedClients = new Set();

function echo(socket) {
  socket.on("message", (message) => socket.send(`Echo: ${message}`));
}

function broadcast(socket) {
  connectedClients.add(socket);
  socket.on("message", (message) => {
    const text = message.toString();
    // Broadcast to all clients
    for (const client of connectedClients) client.send(text);
  });
  socket.on("close", () => connectedClients.delete(socket));
}

function binary(socket) {
  socket.on("message", (message) => socket.send(message));
}

function json(socket) {
  socket.on("message", (message) => socket.send(JSON.stringify(JSON.parse(message))));
}

function hasToken(request) {
  try {
    verify(request.headers.authorization.slice("Bearer ".length), SECRET, { algorithms: ["HS256"] });
    return true;
  } catch {
    return false;
  }
}

const handlers = {
  "/ws/echo": echo,
  "/ws/protected": echo,
  "/ws/broadcast": broadcast,
  "/ws/binary": binary,
  "/ws/json": json,
};
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 1024,
  verifyClient: ({ req }) => req.url !== "/ws/protected" || hasToken(req),
  perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true },
});

server.on("connection", (socket, request) => {
  const handler = handlers[request.url];
  if (handler) handler(socket);
  else socket.close(1008);
  socket.on("error", () => socket.terminate());
});

setInterval(() => {
  for (const socket of server.clients) socket.ping();
}, HEARTBEAT);
