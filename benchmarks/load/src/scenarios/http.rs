//! HTTP: one page over and over on each of some connections that stay open, its body always the same.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;

use crate::histogram::Histogram;
use crate::pool::Failures;
use crate::report::{round, Errors, Latency, Stopwatch, Usage};
use crate::target::Target;

const MAX_HEADERS: usize = 64;
const SCRATCH_SIZE: usize = 1 << 16;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server and the page.
    pub target: Target,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Time that counts.
    pub duration: Duration,
    /// Time before it that does not.
    pub warmup: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    /// Bytes of the page's body.
    size: usize,
    requests: u64,
    requests_per_second: f64,
    #[serde(flatten)]
    latency: Latency,
    #[serde(flatten)]
    usage: Usage,
    #[serde(flatten)]
    errors: Errors,
}

impl Report {
    /// How many failures there were.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors.errors
    }
}

/// Runs the scenario.
///
/// # Errors
///
/// When sockets cannot be made, or all connections have failed.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut load = Load::new(options)?;
    load.request_until(Instant::now() + options.warmup)?;
    let stopwatch = Stopwatch::start(options.pid)?;
    (load.histogram, load.requests) = (Histogram::default(), 0);
    load.request_until(Instant::now() + options.duration)?;
    let usage = stopwatch.stop()?;
    Ok(Report {
        scenario: "http",
        url: options.target.url.clone(),
        connections: options.connections,
        size: load.body.as_ref().map_or(0, Vec::len),
        requests: load.requests,
        requests_per_second: round(load.requests as f64 / usage.seconds, 1),
        latency: Latency::from(&load.histogram),
        usage,
        errors: Errors::from(&load.failures),
    })
}

struct Client {
    stream: TcpStream,
    asked: Instant,
    unread: Vec<u8>,
}

struct Load {
    poll: Poll,
    clients: Vec<Option<Client>>,
    request: Vec<u8>,
    /// The body of the first response; all others must be the same.
    body: Option<Vec<u8>>,
    scratch: Vec<u8>,
    histogram: Histogram,
    requests: u64,
    failures: Failures,
}

impl Load {
    fn new(options: &Options) -> io::Result<Self> {
        let target = &options.target;
        let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", target.resource, target.host);
        for line in &target.headers {
            request += &format!("{line}\r\n");
        }
        request += "\r\n";
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for index in 0..options.connections {
            let mut stream = target.connect(index)?;
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            clients.push(Some(Client {
                stream,
                asked: Instant::now(),
                unread: Vec::new(),
            }));
        }
        let mut load = Self {
            poll,
            clients,
            request: request.into_bytes(),
            body: None,
            scratch: vec![0; SCRATCH_SIZE],
            histogram: Histogram::default(),
            requests: 0,
            failures: Failures::default(),
        };
        for index in 0..options.connections {
            load.ask(index);
        }
        Ok(load)
    }

    /// Asks for the page; a request is so short that the kernel takes all of it at once.
    fn ask(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        client.asked = Instant::now();
        match client.stream.write(&self.request) {
            Ok(written) if written == self.request.len() => {}
            outcome => self.fail(index, &format!("the request was not taken: {outcome:?}")),
        }
    }

    fn request_until(&mut self, deadline: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.clients.iter().flatten().next().is_none() {
                let first = self.failures.first.as_deref().unwrap_or_default();
                return Err(io::Error::other(format!(
                    "no connection is left; the first failure: {first}"
                )));
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in events.iter().filter(|event| event.is_readable()) {
                self.read(event.token().0);
            }
        }
    }

    fn read(&mut self, index: usize) {
        while let Some(client) = &mut self.clients[index] {
            match client.stream.read(&mut self.scratch) {
                Ok(0) => return self.fail(index, &"the server closed the connection"),
                Ok(length) => {
                    client.unread.extend_from_slice(&self.scratch[..length]);
                    self.receive(index);
                    // The answer to what `receive` has asked makes an event of its own; a server that is quick
                    // would keep this loop from ever ending.
                    if length < self.scratch.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(index, &error),
            }
        }
    }

    /// Takes a whole response, if it is there, and asks again.
    fn receive(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        let body = match take_body(&mut client.unread) {
            Ok(None) => return,
            Ok(Some(body)) => body,
            Err(text) => return self.fail(index, &text),
        };
        self.histogram.record(client.asked.elapsed().as_nanos() as u64, 1);
        self.requests += 1;
        if self.body.get_or_insert_with(|| body.clone()) != &body {
            return self.fail(index, &"the page differs from the first one");
        }
        self.ask(index);
    }

    fn fail(&mut self, index: usize, reason: &impl ToString) {
        self.failures.add(1, reason);
        self.clients[index] = None;
    }
}

/// Takes the body of the response at the start of `unread`, `None` while it is incomplete.
fn take_body(unread: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(unread) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("response head: {error}")),
    };
    if response.code != Some(200) {
        return Err(format!(
            "answered with HTTP {}",
            response.code.unwrap_or_default()
        ));
    }
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .ok_or("no Content-Length in the response")?;
    if unread.len() < start + length {
        return Ok(None);
    }
    let body = unread[start..start + length].to_vec();
    unread.drain(..start + length);
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_taken_whole() {
        let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel".to_vec();
        assert_eq!(take_body(&mut bytes), Ok(None));
        bytes.extend_from_slice(b"loHTTP");
        assert_eq!(take_body(&mut bytes), Ok(Some(b"hello".to_vec())));
        assert_eq!(bytes, b"HTTP");
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for text in [
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(take_body(&mut text.as_bytes().to_vec()).is_err(), "{text}");
        }
    }
}
