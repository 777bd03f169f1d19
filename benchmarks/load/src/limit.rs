//! The limit: what a machine's kernel lets one thread do. A server with an event loop and frames, and nothing else.
//!
//! It accepts every opening handshake. On `/ws/broadcast` and `/ws/topic` each message goes to all connections of these
//! paths, on `/ws/echo` it comes back with the prefix in front, on every other path as it came. It does what the
//! generator needs and no more: frames are answered one by one (so a fragmented message comes back in the same
//! fragments), UTF-8 is not checked, nothing is limited, there are no timers. A real server cannot be faster than this
//! by doing more.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use crate::handshake::accept_request;
use crate::outbox::Outbox;
use crate::wire::{apply_mask, opcode, parse_header, push_header, Header};

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4096;
const SCRATCH_SIZE: usize = 1 << 18;
/// Reads from one connection before the others have their turn; matters only to large messages.
const READS_PER_TURN: usize = 4;
const BROADCAST: [&str; 2] = ["/ws/broadcast", "/ws/topic"];
const ECHO: &str = "/ws/echo";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Echo,
    PlainEcho,
    Broadcast,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    state: State,
    unread: Vec<u8>,
    unsent: Outbox,
    /// The connection ends as soon as everything is sent.
    ending: bool,
}

impl Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unsent.flush(&mut self.stream)
    }

    /// Whether the connection has come to its end.
    fn is_over(&self) -> bool {
        self.ending && self.unsent.is_empty()
    }
}

/// Frames to send after a read: to the client itself, and to all that listen to broadcasts.
#[derive(Debug, Default)]
struct Output {
    own: Vec<u8>,
    everybody: Vec<u8>,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    clients: Slab<Client>,
    listeners: Vec<usize>,
    /// Connections that may have more to read, of which no event will tell.
    unfinished: Vec<usize>,
    prefix: Vec<u8>,
    scratch: Vec<u8>,
    output: Output,
}

impl Server {
    /// Listens on `address`; `prefix` goes in front of every echo.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, prefix: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: Slab::new(),
            listeners: Vec::new(),
            unfinished: Vec::new(),
            prefix: prefix.as_bytes().to_vec(),
            scratch: vec![0; SCRATCH_SIZE],
            output: Output::default(),
        })
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// When the socket does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = if self.unfinished.is_empty() {
                None
            } else {
                Some(Duration::ZERO)
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for key in std::mem::take(&mut self.unfinished) {
                self.advance(key, true);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(key) => self.advance(key, event.is_read_closed()),
                }
            }
        }
    }

    /// Lets a connection flush and read as far as it can, and removes it at its end.
    fn advance(&mut self, key: usize, to_the_end: bool) {
        let outcome = self.flush_and_read(key, to_the_end);
        if outcome.is_err() || self.clients.get(key).is_some_and(Client::is_over) {
            self.remove(key);
        }
    }

    fn flush_and_read(&mut self, key: usize, to_the_end: bool) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(key) else {
            return Ok(());
        };
        client.flush()?;
        // Who does not read is not read from; the event that the kernel takes bytes again comes back here.
        for _ in 0..READS_PER_TURN {
            if !self.read(key, to_the_end)? {
                return Ok(());
            }
        }
        self.unfinished.push(key);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.add(stream)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let entry = self.clients.vacant_entry();
        let key = Token(entry.key());
        let client = Client {
            stream,
            state: State::Opening,
            unread: Vec::new(),
            unsent: Outbox::default(),
            ending: false,
        };
        let client = entry.insert(client);
        self.poll
            .registry()
            .register(&mut client.stream, key, Interest::READABLE | Interest::WRITABLE)
    }

    fn remove(&mut self, key: usize) {
        self.clients.try_remove(key);
        self.listeners.retain(|listener| *listener != key);
    }

    /// Reads once and answers with at most one write; false when there is nothing more to do for now.
    fn read(&mut self, key: usize, to_the_end: bool) -> io::Result<bool> {
        let Some(client) = self.clients.get_mut(key) else {
            return Ok(false);
        };
        if client.ending || !client.unsent.is_empty() {
            return Ok(false);
        }
        match client.stream.read(&mut self.scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.receive(key, length)?;
                // A short read means that nothing is left but perhaps the end of the stream (epoll(7)).
                Ok(length == self.scratch.len() || to_the_end)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Answers the first `length` bytes of the scratch buffer.
    fn receive(&mut self, key: usize, length: usize) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(key) else {
            return Ok(());
        };
        let bytes = &self.scratch[..length];
        self.output.own.clear();
        self.output.everybody.clear();
        let opening = client.state == State::Opening;
        if client.unread.is_empty() {
            let taken = take(client, bytes, &self.prefix, &mut self.output)?;
            client.unread.extend_from_slice(&bytes[taken..]);
        } else {
            let mut unread = std::mem::take(&mut client.unread);
            unread.extend_from_slice(bytes);
            let taken = take(client, &unread, &self.prefix, &mut self.output)?;
            unread.drain(..taken);
            client.unread = unread;
        }
        if !self.output.own.is_empty() {
            client.write(&self.output.own)?;
        }
        if opening && client.state == State::Broadcast {
            self.listeners.push(key);
        }
        self.broadcast();
        Ok(())
    }

    fn broadcast(&mut self) {
        if self.output.everybody.is_empty() {
            return;
        }
        for key in &self.listeners {
            if let Some(client) = self.clients.get_mut(*key) {
                // A client that is gone shows itself by an event of its own.
                if client.write(&self.output.everybody).is_err() {
                    client.unsent.clear();
                }
            }
        }
    }
}

/// Takes the request head or whole frames from the front of `bytes`; returns how many bytes it took.
fn take(client: &mut Client, bytes: &[u8], prefix: &[u8], output: &mut Output) -> io::Result<usize> {
    let mut position = 0;
    if client.state == State::Opening {
        let Some(accepted) = accept_request(bytes).map_err(io::Error::other)? else {
            return Ok(0);
        };
        position = accepted.length;
        client.state = match accepted.resource.split('?').next() {
            Some(path) if BROADCAST.contains(&path) => State::Broadcast,
            Some(ECHO) => State::Echo,
            _ => State::PlainEcho,
        };
        output.own.extend_from_slice(&accepted.response);
    }
    while let Some(header) = parse_header(&bytes[position..]).map_err(|error| io::Error::other(error.0))? {
        let Some(payload) = bytes.get(position + header.length..position + header.frame_length()) else {
            break;
        };
        position += header.frame_length();
        answer(client, &header, payload, prefix, output);
    }
    Ok(position)
}

/// Appends the answer to one frame.
fn answer(client: &mut Client, header: &Header, payload: &[u8], prefix: &[u8], output: &mut Output) {
    match header.opcode() {
        opcode::PING => push_answer(&mut output.own, 0x80 | opcode::PONG, &[], header, payload),
        opcode::PONG => {}
        opcode::CLOSE => {
            push_answer(&mut output.own, header.first_byte, &[], header, payload);
            client.ending = true;
        }
        _ if client.state == State::Broadcast => {
            push_answer(&mut output.everybody, header.first_byte, &[], header, payload);
        }
        _ if header.opcode() == opcode::CONTINUATION || client.state == State::PlainEcho => {
            push_answer(&mut output.own, header.first_byte, &[], header, payload);
        }
        _ => push_answer(&mut output.own, header.first_byte, prefix, header, payload),
    }
}

fn push_answer(out: &mut Vec<u8>, first_byte: u8, prefix: &[u8], header: &Header, payload: &[u8]) {
    push_header(out, first_byte, prefix.len() + payload.len(), None);
    out.extend_from_slice(prefix);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = header.masking_key {
        apply_mask(&mut out[start..], key);
    }
}
