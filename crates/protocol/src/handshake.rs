//! The opening handshake as the server reads it (RFC 6455 sections 4.2.1 and 4.2.2).
//!
//! The module owns the decision what the beginning of a connection is, and why an attempt at a handshake is
//! refused. It must not know routes, origins or authentication: it judges form only. HTTP requests that ask
//! for no WebSocket are told apart and otherwise left alone.

use base64::alphabet;
use base64::engine::{general_purpose::GeneralPurpose, general_purpose::STANDARD, Engine};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use httparse::{Error, Header, Request, Status, EMPTY_HEADER};
use sha1::{Digest, Sha1};

use crate::extension::parse_extensions;
pub use crate::header::BadHeader;
use crate::header::{
    find_end, has_token, is_token_byte, lower_case, skip_empty_lines, values, HeadEnd, MAX_FIELDS,
};
pub use crate::response::{write_accept, write_accept_with_deflate, write_refusal, write_response};

/// What the beginning of a connection's bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// The head has not ended yet; ask again with more bytes.
    Incomplete,
    /// An HTTP request that asks for no WebSocket.
    Http(RequestHead<'a>),
    /// A well-formed opening handshake.
    WebSocket(Upgrade<'a>),
    /// Neither; answer with [`write_refusal`] and end the connection.
    Refused(Refusal),
}

/// The head of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// The request target as sent.
    pub target: &'a str,
    /// Bytes of the head, its blank line included.
    pub len: usize,
}

/// A well-formed opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The resource name: path and query string (section 3), all ASCII, beginning with a slash.
    pub target: &'a str,
    /// The Sec-WebSocket-Key, for [`write_accept`].
    pub key: &'a str,
    /// Bytes of the head, its blank line included.
    pub len: usize,
}

/// Why a request is refused, as an HTTP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// One line for the body.
    pub reason: &'static str,
    /// Header fields that the status demands.
    pub headers: &'static [(&'static str, &'static str)],
}

const fn bad_request(reason: &'static str) -> Refusal {
    Refusal {
        status: 400,
        reason,
        headers: &[],
    }
}

const HEAD_TOO_LARGE: Refusal = Refusal {
    status: 431,
    reason: "request head too large",
    headers: &[],
};
const TOO_MANY_FIELDS: Refusal = Refusal {
    status: 431,
    reason: "too many header fields",
    headers: &[],
};
const METHOD_NOT_ALLOWED: Refusal = Refusal {
    status: 405,
    reason: "the method of an opening handshake is GET",
    headers: &[("Allow", "GET")],
};
/// Section 4.4: the answer names the version that is understood.
const VERSION_NOT_SUPPORTED: Refusal = Refusal {
    status: 426,
    reason: "Sec-WebSocket-Version is not 13",
    headers: &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
};

/// No registered method comes near it.
const MAX_METHOD: usize = 32;

/// Look at the beginning of a connection's bytes; called again as more of a slow head arrives.
///
/// Never looks at more than `max_head_size` bytes; a larger head is refused with 431. What cannot become an
/// HTTP request, as a TLS ClientHello, is refused with its first bytes.
#[must_use]
pub fn parse_head(bytes: &[u8], max_head_size: usize) -> Head<'_> {
    let within = &bytes[..bytes.len().min(max_head_size)];
    if !may_begin_request(within) {
        return Head::Refused(bad_request("not an HTTP request"));
    }
    match find_end(within) {
        HeadEnd::At(len) => parse_request(&within[..len]),
        HeadEnd::TooManyFields => Head::Refused(TOO_MANY_FIELDS),
        HeadEnd::Missing if within.len() == max_head_size => Head::Refused(HEAD_TOO_LARGE),
        HeadEnd::Missing => Head::Incomplete,
    }
}

/// Whether the bytes begin with a method, or with what may become one.
fn may_begin_request(bytes: &[u8]) -> bool {
    let line = skip_empty_lines(bytes);
    let start = &line[..line.len().min(MAX_METHOD + 1)];
    match start.iter().position(|byte| !is_token_byte(*byte)) {
        Some(end) => end > 0 && start[end] == b' ',
        None => start.len() <= MAX_METHOD,
    }
}

/// Parse a head that is whole.
fn parse_request(head: &[u8]) -> Head<'_> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(len)) => judge(&request, len),
        Ok(Status::Partial) => Head::Refused(bad_request("malformed request")),
        Err(error) => Head::Refused(malformed(error)),
    }
}

fn malformed(error: Error) -> Refusal {
    match error {
        Error::TooManyHeaders => TOO_MANY_FIELDS,
        Error::HeaderName => bad_request("malformed header field name"),
        Error::HeaderValue => bad_request("malformed header field value"),
        Error::Version => bad_request("HTTP version is neither 1.0 nor 1.1"),
        Error::NewLine | Error::Status | Error::Token => bad_request("malformed request line"),
    }
}

/// Tell an attempt at a handshake from other requests, and check it.
fn judge<'a>(request: &Request<'_, 'a>, len: usize) -> Head<'a> {
    let fields: &[Header<'a>] = request.headers;
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if !is_attempt(fields) {
        return Head::Http(RequestHead { method, target, len });
    }
    match check(fields, method, request.version, target) {
        Ok((target, key)) => Head::WebSocket(Upgrade { target, key, len }),
        Err(refusal) => Head::Refused(refusal),
    }
}

/// Whether the request asks for a WebSocket, well or badly.
fn is_attempt(fields: &[Header<'_>]) -> bool {
    has_token(fields, "upgrade", "websocket")
        || values(fields, "sec-websocket-key").next().is_some()
        || values(fields, "sec-websocket-version").next().is_some()
}

/// Check what section 4.2.1 demands; return the resource name and the key.
fn check<'a>(
    fields: &[Header<'a>],
    method: &str,
    version: Option<u8>,
    target: &'a str,
) -> Result<(&'a str, &'a str), Refusal> {
    if method != "GET" {
        return Err(METHOD_NOT_ALLOWED);
    }
    if version != Some(1) {
        return Err(bad_request("an opening handshake needs HTTP/1.1"));
    }
    let host = check_host(fields)?;
    let target = resource_name(target, host)?;
    check_upgrade(fields)?;
    let key = check_key(fields)?;
    check_no_body(fields)?;
    at_most_one(fields, "origin", "more than one Origin")?;
    check_subprotocols(fields)?;
    check_extensions(fields)?;
    Ok((target, key))
}

/// Sections 4.2.1 and 4.3: a list of tokens; empty elements are let pass (RFC 9110 section 5.6.1).
fn check_subprotocols(fields: &[Header<'_>]) -> Result<(), Refusal> {
    let is_list = values(fields, "sec-websocket-protocol")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .all(|name| name.trim_ascii().iter().copied().all(is_token_byte));
    if is_list {
        Ok(())
    } else {
        Err(bad_request("malformed Sec-WebSocket-Protocol"))
    }
}

/// Section 9.1: whoever receives a malformed list of extensions fails the connection.
fn check_extensions(fields: &[Header<'_>]) -> Result<(), Refusal> {
    match values(fields, "sec-websocket-extensions").find(|value| parse_extensions(value).is_err()) {
        None => Ok(()),
        Some(_) => Err(bad_request("malformed Sec-WebSocket-Extensions")),
    }
}

fn check_host<'a>(fields: &[Header<'a>]) -> Result<&'a [u8], Refusal> {
    match exactly_one(fields, "host") {
        Some(host) if !host.is_empty() => Ok(host),
        _ => Err(bad_request("an opening handshake needs exactly one Host")),
    }
}

/// The resource name of the target, which may also be an absolute http URI for the same host (section 4.1).
fn resource_name<'a>(target: &'a str, host: &[u8]) -> Result<&'a str, Refusal> {
    if !target.is_ascii() || target.contains('#') {
        // Fragment identifiers must not be used (section 3).
        return Err(bad_request(
            "the request target has a character that it may not have",
        ));
    }
    if target.starts_with('/') {
        return Ok(target);
    }
    let rest = after_scheme(target).ok_or(bad_request(
        "the request target is neither a path nor an http URI",
    ))?;
    let (authority, name) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !authority.as_bytes().eq_ignore_ascii_case(host) {
        return Err(bad_request("the request target and Host differ"));
    }
    match name.as_bytes().first() {
        Some(b'/') => Ok(name),
        None => Ok("/"),
        Some(_) => Err(bad_request("the request target has no path")),
    }
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_http.then_some(rest)
}

fn check_upgrade(fields: &[Header<'_>]) -> Result<(), Refusal> {
    if !has_token(fields, "upgrade", "websocket") {
        return Err(bad_request("Upgrade does not name websocket"));
    }
    if !has_token(fields, "connection", "upgrade") {
        return Err(bad_request("Connection does not name upgrade"));
    }
    if exactly_one(fields, "sec-websocket-version") != Some(b"13") {
        return Err(VERSION_NOT_SUPPORTED);
    }
    Ok(())
}

fn check_key<'a>(fields: &[Header<'a>]) -> Result<&'a str, Refusal> {
    const MISSING: Refusal = bad_request("an opening handshake needs exactly one Sec-WebSocket-Key");
    const MALFORMED: Refusal = bad_request("Sec-WebSocket-Key is not 16 bytes in base64");
    let key = exactly_one(fields, "sec-websocket-key").ok_or(MISSING)?;
    let key = std::str::from_utf8(key).map_err(|_| MALFORMED)?;
    if is_nonce(key) {
        Ok(key)
    } else {
        Err(MALFORMED)
    }
}

/// Whether the key is 16 bytes in base64.
///
/// Bits of the last character that say nothing are not looked at: clients that make up the 22 characters
/// instead of encoding 16 bytes do exist, and section 4.2.2 has no need of the decoded value.
fn is_nonce(key: &str) -> bool {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    const FORGIVING: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    let mut nonce = [0; 18];
    key.len() == 24 && FORGIVING.decode_slice(key, &mut nonce) == Ok(16)
}

/// A handshake has no body: its bytes would be read as frames (section 4.1: a GET request).
fn check_no_body(fields: &[Header<'_>]) -> Result<(), Refusal> {
    at_most_one(fields, "content-length", "more than one Content-Length")?;
    let has_length = values(fields, "content-length").any(|value| value != b"0");
    if has_length || values(fields, "transfer-encoding").next().is_some() {
        return Err(bad_request("an opening handshake has no body"));
    }
    Ok(())
}

fn at_most_one(fields: &[Header<'_>], name: &str, reason: &'static str) -> Result<(), Refusal> {
    match values(fields, name).nth(1) {
        None => Ok(()),
        Some(_) => Err(bad_request(reason)),
    }
}

/// The value of a field that is there exactly once.
fn exactly_one<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut values = values(fields, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Header fields of a head that [`parse_head`] accepted: names in lower case, values as raw bytes, trimmed.
///
/// Of a head that was not accepted, none.
#[must_use]
pub fn header_fields(head: &[u8]) -> Vec<(String, &[u8])> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => lower_case(request.headers),
        _ => Vec::new(),
    }
}

/// Values of the fields of a name, in any case and in order: raw bytes, trimmed.
///
/// Of a head that [`parse_head`] did not accept, none.
#[must_use]
pub fn header_values<'b>(head: &'b [u8], name: &str) -> Vec<&'b [u8]> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => values(request.headers, name).collect(),
        _ => Vec::new(),
    }
}

/// The Sec-WebSocket-Accept that proves that a key was read (section 4.2.2, step 5.4).
#[must_use]
pub fn accept_key(key: &str) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}
