//! The opening handshake as the client sees it (RFC 6455 section 4.1).
//!
//! The module owns the request and the check of the server's answer. It must not know where the key comes
//! from: section 4.1 wants a random one for each connection, which is the caller's duty.

use std::fmt;

use httparse::{Header, Status, EMPTY_HEADER};

use crate::deflate::{accept_response, offer, Config};
use crate::handshake::accept_key;
pub use crate::header::BadHeader;
use crate::header::{find_end, has_token, lower_case, values, write_field, write_fields};
use crate::header::{HeadEnd, MAX_FIELDS};
use crate::response::{all_or_nothing, write_subprotocols};

/// Largest head of a response that is read.
pub const MAX_RESPONSE_HEAD: usize = 65_536;

/// Fields that make the handshake; a caller's own would contradict them.
const HANDSHAKE_FIELDS: &[&str] = &[
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Content-Length",
    "Transfer-Encoding",
];

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The head has not ended yet; ask again with more bytes.
    Incomplete,
    /// The connection is a WebSocket now.
    Accepted {
        /// Bytes of the head; frames may follow.
        len: usize,
        /// The subprotocol the server chose.
        subprotocol: Option<String>,
        /// Header fields: names in lower case, values trimmed.
        headers: Vec<(String, Vec<u8>)>,
    },
    /// The server answered by HTTP.
    Rejected {
        /// Bytes of the head; the body follows.
        len: usize,
        /// HTTP status.
        status: u16,
        /// Header fields: names in lower case, values trimmed.
        headers: Vec<(String, Vec<u8>)>,
    },
}

/// Why a server's answer completes no opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The bytes are not the head of an HTTP/1.1 response.
    Malformed,
    /// The head exceeds [`MAX_RESPONSE_HEAD`] or has too many fields.
    TooLarge,
    /// Upgrade is not websocket.
    Upgrade,
    /// Connection does not name upgrade.
    Connection,
    /// Sec-WebSocket-Accept does not belong to the key.
    Accept,
    /// The subprotocol was not offered, or there is more than one.
    Subprotocol,
    /// An extension was chosen that was not offered, or with parameters that do not answer the offer.
    Extension,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed HTTP response",
            Self::TooLarge => "response head too large",
            Self::Upgrade => "Upgrade of the response is not websocket",
            Self::Connection => "Connection of the response does not name upgrade",
            Self::Accept => "Sec-WebSocket-Accept does not belong to the key",
            Self::Subprotocol => "the server chose a subprotocol that was not offered",
            Self::Extension => "the server chose an extension that does not answer the offer",
        })
    }
}

impl std::error::Error for HandshakeError {}

/// What a client asks for in its opening handshake.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Path and query string.
    pub target: &'a str,
    /// Value of Host.
    pub host: &'a str,
    /// Value of Sec-WebSocket-Key: 16 random bytes in base64.
    pub key: &'a str,
    /// Subprotocols, the preferred first.
    pub subprotocols: &'a [&'a str],
    /// Wishes for permessage-deflate; None not to offer it.
    pub deflate: Option<&'a Config>,
    /// More header fields.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// Append the request that starts the opening handshake.
    ///
    /// # Errors
    /// A field that cannot be written, or one that the handshake writes itself; a target that is no path; a
    /// subprotocol that is no token. Nothing is appended then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), BadHeader> {
        all_or_nothing(out, |out| {
            write_request_line(out, self.target)?;
            write_field(out, "Host", self.host)?;
            out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
            write_field(out, "Sec-WebSocket-Key", self.key)?;
            write_field(out, "Sec-WebSocket-Version", "13")?;
            if !self.subprotocols.is_empty() {
                write_subprotocols(out, self.subprotocols)?;
            }
            if let Some(config) = self.deflate {
                write_field(out, "Sec-WebSocket-Extensions", &offer(config))?;
            }
            write_fields(out, self.headers, HANDSHAKE_FIELDS)
        })
    }

    /// Read the server's answer.
    ///
    /// What was agreed on of permessage-deflate is told by
    /// [`accept_response`] of the response's Sec-WebSocket-Extensions.
    ///
    /// # Errors
    /// The answer is malformed, or says 101 without completing the handshake that was asked for.
    pub fn parse_response(&self, bytes: &[u8]) -> Result<Response, HandshakeError> {
        let within = &bytes[..bytes.len().min(MAX_RESPONSE_HEAD)];
        match find_end(within) {
            HeadEnd::At(len) => self.parse_whole(&within[..len]),
            HeadEnd::Missing if within.len() < MAX_RESPONSE_HEAD => Ok(Response::Incomplete),
            HeadEnd::Missing | HeadEnd::TooManyFields => Err(HandshakeError::TooLarge),
        }
    }

    /// Parse a head that is whole.
    fn parse_whole(&self, head: &[u8]) -> Result<Response, HandshakeError> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(head) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) | Err(_) => return Err(HandshakeError::Malformed),
        };
        let headers = owned(response.headers);
        match (response.code, response.version) {
            (Some(101), Some(1)) => {
                let subprotocol = self.check_accepted(response.headers)?;
                Ok(Response::Accepted {
                    len,
                    subprotocol,
                    headers,
                })
            }
            (Some(status), _) if status != 101 => Ok(Response::Rejected { len, status, headers }),
            _ => Err(HandshakeError::Malformed),
        }
    }

    /// Check what section 4.1 demands of a response with status 101; return the subprotocol.
    fn check_accepted(&self, fields: &[Header<'_>]) -> Result<Option<String>, HandshakeError> {
        let is_websocket = |value: &[u8]| value.eq_ignore_ascii_case(b"websocket");
        if !only(fields, "upgrade").is_some_and(is_websocket) {
            return Err(HandshakeError::Upgrade);
        }
        if !has_token(fields, "connection", "upgrade") {
            return Err(HandshakeError::Connection);
        }
        if only(fields, "sec-websocket-accept") != Some(accept_key(self.key).as_bytes()) {
            return Err(HandshakeError::Accept);
        }
        self.check_extensions(fields)?;
        check_subprotocol(fields, self.subprotocols)
    }

    /// Section 9.1: the server may choose only what was offered.
    fn check_extensions(&self, fields: &[Header<'_>]) -> Result<(), HandshakeError> {
        let mut chosen = values(fields, "sec-websocket-extensions");
        let is_answer = match self.deflate {
            None => chosen.all(<[u8]>::is_empty),
            Some(config) => accept_response(chosen, config).is_ok(),
        };
        is_answer.then_some(()).ok_or(HandshakeError::Extension)
    }
}

/// Append the request that starts the opening handshake, without offering an extension.
///
/// # Errors
/// As [`Request::write`].
pub fn write_request(
    out: &mut Vec<u8>,
    target: &str,
    host: &str,
    key: &str,
    subprotocols: &[&str],
    headers: &[(&str, &str)],
) -> Result<(), BadHeader> {
    let request = Request {
        target,
        host,
        key,
        subprotocols,
        deflate: None,
        headers,
    };
    request.write(out)
}

/// Read the server's answer to a request with `key` and the `offered` subprotocols, and no extension.
///
/// # Errors
/// As [`Request::parse_response`].
pub fn parse_response(bytes: &[u8], key: &str, offered: &[&str]) -> Result<Response, HandshakeError> {
    let request = Request {
        target: "",
        host: "",
        key,
        subprotocols: offered,
        deflate: None,
        headers: &[],
    };
    request.parse_response(bytes)
}

fn write_request_line(out: &mut Vec<u8>, target: &str) -> Result<(), BadHeader> {
    let is_clean = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_clean || !target.starts_with('/') {
        let problem = "the request target is not a path of visible ASCII characters";
        return Err(BadHeader {
            name: target.to_owned(),
            problem,
        });
    }
    for part in ["GET ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

fn owned(fields: &[Header<'_>]) -> Vec<(String, Vec<u8>)> {
    lower_case(fields)
        .into_iter()
        .map(|(name, value)| (name, value.to_vec()))
        .collect()
}

fn check_subprotocol(fields: &[Header<'_>], offered: &[&str]) -> Result<Option<String>, HandshakeError> {
    if values(fields, "sec-websocket-protocol").next().is_none() {
        return Ok(None);
    }
    let chosen = only(fields, "sec-websocket-protocol");
    let name = offered.iter().find(|name| Some(name.as_bytes()) == chosen);
    name.map(|name| Some((*name).to_owned()))
        .ok_or(HandshakeError::Subprotocol)
}

/// The value of a field that is there exactly once.
fn only<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut values = values(fields, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
