//! HTTP responses to an opening handshake (RFC 6455 section 4.2.2, RFC 9112 section 4).
//!
//! The module owns the form of a response. It must not know why a handshake is accepted or rejected.

use crate::deflate::Agreement;
use crate::handshake::{accept_key, Refusal};
use crate::header::{is_any, is_token, write_field, write_fields, BadHeader};

/// Fields that decide the handshake; a caller's own would contradict them.
const HANDSHAKE_FIELDS: &[&str] = &[
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Content-Length",
    "Transfer-Encoding",
];

/// Fields that say where a response ends.
const FRAMING_FIELDS: &[&str] = &["Content-Length", "Transfer-Encoding", "Connection"];

/// Append the response that completes the opening handshake (section 4.2.2, step 5), without an extension.
///
/// # Errors
/// A field that cannot be written, or one that the handshake writes itself; a subprotocol that is no token.
/// Nothing is appended then.
pub fn write_accept(
    out: &mut Vec<u8>,
    key: &str,
    subprotocol: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<(), BadHeader> {
    write_accept_with_deflate(out, key, subprotocol, None, headers)
}

/// Append the response that completes the opening handshake, with what was agreed on of permessage-deflate.
///
/// # Errors
/// As [`write_accept`].
pub fn write_accept_with_deflate(
    out: &mut Vec<u8>,
    key: &str,
    subprotocol: Option<&str>,
    deflate: Option<&Agreement>,
    headers: &[(&str, &str)],
) -> Result<(), BadHeader> {
    all_or_nothing(out, |out| {
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        write_field(out, "Sec-WebSocket-Accept", &accept_key(key))?;
        if let Some(subprotocol) = subprotocol {
            write_subprotocols(out, &[subprotocol])?;
        }
        if let Some(agreement) = deflate {
            write_field(out, "Sec-WebSocket-Extensions", &agreement.response())?;
        }
        write_fields(out, headers, HANDSHAKE_FIELDS)
    })
}

/// Append a whole HTTP response after which the connection ends; `status` has three digits.
///
/// Content-Length and Connection are written here: the caller's own, as they come with a response made
/// elsewhere, are left out, and so is Transfer-Encoding.
///
/// # Errors
/// A field that cannot be written; nothing is appended then.
pub fn write_response(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(), BadHeader> {
    // Such responses end with their head (RFC 9112 section 6.3).
    let body = if matches!(status, 100..=199 | 204 | 304) {
        None
    } else {
        Some(body)
    };
    all_or_nothing(out, |out| {
        let line = format!("HTTP/1.1 {status:03} {}\r\n", reason_phrase(status));
        out.extend_from_slice(line.as_bytes());
        for (name, value) in headers.iter().filter(|(name, _)| !is_any(name, FRAMING_FIELDS)) {
            write_field(out, name, value)?;
        }
        if let Some(body) = body {
            write_field(out, "Content-Length", &body.len().to_string())?;
        }
        write_field(out, "Connection", connection_options(headers))
    })?;
    out.extend_from_slice(body.unwrap_or_default());
    Ok(())
}

/// Upgrade must be named in Connection wherever it is sent (RFC 9110 section 7.8).
fn connection_options(headers: &[(&str, &str)]) -> &'static str {
    if headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("upgrade"))
    {
        "close, Upgrade"
    } else {
        "close"
    }
}

/// Append the response that a refusal describes, with its reason as the body.
pub fn write_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    let mut headers = vec![("Content-Type", "text/plain; charset=utf-8")];
    headers.extend_from_slice(refusal.headers);
    let body = format!("{}\n", refusal.reason);
    let written = write_response(out, refusal.status, &headers, body.as_bytes());
    debug_assert!(written.is_ok(), "refusals have clean fields");
}

/// Append Sec-WebSocket-Protocol with names that must be tokens (section 4.1).
pub(crate) fn write_subprotocols(out: &mut Vec<u8>, names: &[&str]) -> Result<(), BadHeader> {
    const NAME: &str = "Sec-WebSocket-Protocol";
    if !names.iter().all(|name| is_token(name)) {
        return Err(BadHeader {
            name: NAME.to_owned(),
            problem: "a subprotocol is not a token",
        });
    }
    write_field(out, NAME, &names.join(", "))
}

/// Append a head and its blank line, or leave `out` as it was.
pub(crate) fn all_or_nothing(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), BadHeader>,
) -> Result<(), BadHeader> {
    let start = out.len();
    match write(out) {
        Ok(()) => out.extend_from_slice(b"\r\n"),
        Err(bad) => {
            out.truncate(start);
            return Err(bad);
        }
    }
    Ok(())
}

/// The registry's phrase; empty for a status it does not name, which RFC 9112 section 4 allows.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}
