//! The opening handshake, RFC 6455 section 4: the client's request and check, the server's answer.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use sha1::{Digest, Sha1};

use crate::compression::OFFER;
use crate::random::Random;
use crate::target::Target;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_HEADERS: usize = 64;
const MAX_HEAD_SIZE: usize = 16_384;

/// A request to send, with the accept key that the server must return for it.
#[derive(Debug)]
pub struct Request {
    /// Bytes of the request head.
    pub head: Vec<u8>,
    /// Value that `Sec-WebSocket-Accept` must have.
    pub accept_key: String,
    /// Whether permessage-deflate was offered, so that the server must accept it.
    pub compressed: bool,
}

impl Request {
    /// Composes the request with a fresh `Sec-WebSocket-Key`.
    pub fn compose(target: &Target, random: &mut Random) -> Self {
        let key = STANDARD.encode(random.next_16_bytes());
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
            target.resource, target.host
        );
        for line in &target.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        if target.compressed {
            head.push_str(&format!("Sec-WebSocket-Extensions: {OFFER}\r\n"));
        }
        head.push_str("\r\n");
        Self {
            head: head.into_bytes(),
            accept_key: accept_key(key.as_bytes()),
            compressed: target.compressed,
        }
    }
}

/// Returns the `Sec-WebSocket-Accept` that belongs to a `Sec-WebSocket-Key` (section 4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Checks the server's answer; returns the length of its head, or `None` while it is incomplete.
///
/// # Errors
///
/// A text that says which condition of section 4.1 the answer breaks.
pub fn check_response(bytes: &[u8], accept_key: &str, compressed: bool) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_SIZE => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("response head is too long".to_owned()),
        Err(error) => return Err(format!("response head: {error}")),
    };
    match response.code {
        Some(101) => check_response_headers(response.headers, accept_key, compressed).map(|()| Some(length)),
        code => Err(format!("refused with HTTP {}", code.unwrap_or_default())),
    }
}

fn check_response_headers(
    headers: &[httparse::Header<'_>],
    accept_key: &str,
    compressed: bool,
) -> Result<(), String> {
    if !has_token(headers, "Upgrade", "websocket") {
        return Err("no \"Upgrade: websocket\" in the response".to_owned());
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err("no \"Connection: Upgrade\" in the response".to_owned());
    }
    if field(headers, "Sec-WebSocket-Accept") != Some(accept_key.as_bytes()) {
        return Err("Sec-WebSocket-Accept does not fit the key".to_owned());
    }
    let given = |name| field(headers, name).filter(|value| !value.is_empty());
    if given("Sec-WebSocket-Protocol").is_some() {
        return Err("Sec-WebSocket-Protocol in the response was never offered".to_owned());
    }
    check_extensions(given("Sec-WebSocket-Extensions"), compressed)
}

/// Wants what was offered: permessage-deflate without context takeover of the server, or nothing.
fn check_extensions(value: Option<&[u8]>, compressed: bool) -> Result<(), String> {
    match value.map(String::from_utf8_lossy) {
        None if compressed => Err("the server does not compress".to_owned()),
        None => Ok(()),
        Some(_) if !compressed => {
            Err("Sec-WebSocket-Extensions in the response was never offered".to_owned())
        }
        Some(text) => {
            let mut parts = text.split(';').map(str::trim);
            let name = parts.next();
            let agreed =
                name == Some("permessage-deflate") && parts.any(|part| part == "server_no_context_takeover");
            agreed
                .then_some(())
                .ok_or_else(|| format!("not the compression that was offered: {text}"))
        }
    }
}

/// What a server needs of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Bytes of the request head.
    pub length: usize,
    /// Bytes of the response to send.
    pub response: Vec<u8>,
    /// Request target: path and query.
    pub resource: String,
}

/// Answers a client's request; `None` while it is incomplete.
///
/// # Errors
///
/// A text that says what is wrong with the request.
pub fn accept_request(bytes: &[u8]) -> Result<Option<Accepted>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_SIZE => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("request head is too long".to_owned()),
        Err(error) => return Err(format!("request head: {error}")),
    };
    let key = field(request.headers, "Sec-WebSocket-Key").ok_or("no Sec-WebSocket-Key")?;
    let accept = accept_key(key);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let resource = request.path.unwrap_or("/").to_owned();
    Ok(Some(Accepted {
        length,
        response: response.into_bytes(),
        resource,
    }))
}

fn field<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.trim_ascii())
}

fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    field(headers, name).is_some_and(|value| {
        value
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn response(key: &str, extra: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n{extra}\r\n"
        )
    }

    #[test]
    fn accept_key_of_rfc_section_1_3() {
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn both_sides_agree() {
        let target = Target::resolve("ws://127.0.0.1:1/ws?a=b", &["Origin: http://a".to_owned()]).unwrap();
        let request = Request::compose(&target, &mut Random::from_entropy());
        let accepted = accept_request(&request.head).unwrap().unwrap();
        assert_eq!(
            (accepted.length, accepted.resource.as_str()),
            (request.head.len(), "/ws?a=b")
        );
        let checked = check_response(&accepted.response, &request.accept_key, false);
        assert_eq!(checked, Ok(Some(accepted.response.len())));
    }

    #[test]
    fn wrong_answers_are_refused() {
        assert!(matches!(
            check_response(response("key", "").as_bytes(), "key", false),
            Ok(Some(_))
        ));
        assert_eq!(check_response(b"HTTP/1.1 101 Swi", "key", false), Ok(None));
        assert!(check_response(response("other", "").as_bytes(), "key", false).is_err());
        let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        assert!(check_response(response("key", extension).as_bytes(), "key", false).is_err());
        assert!(check_response(b"HTTP/1.1 404 Not Found\r\n\r\n", "key", false).is_err());
        assert!(check_response(b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n", "key", false).is_err());
    }

    #[test]
    fn compression_is_what_was_offered() {
        let plain = response("key", "");
        assert!(check_response(plain.as_bytes(), "key", true).is_err());
        for (parameters, good) in [("; server_no_context_takeover", true), ("", false)] {
            let text = response(
                "key",
                &format!("Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n"),
            );
            assert_eq!(
                check_response(text.as_bytes(), "key", true).is_ok(),
                good,
                "{parameters}"
            );
        }
    }
}
