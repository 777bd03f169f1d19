//! Header fields of HTTP/1.1 (RFC 9110 section 5), as far as the opening handshake needs them.
//!
//! The module owns where a head ends, the look-up in fields that were read and the check of fields that are
//! written. It must not know which fields a handshake needs.

use std::fmt;

use httparse::Header;
use memchr::memchr_iter;

/// Most header fields of a head.
pub(crate) const MAX_FIELDS: usize = 128;

/// A header field that cannot be written: sending it would change the meaning of what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHeader {
    /// Name of the field as given.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header field {:?}: {}", self.name, self.problem)
    }
}

impl std::error::Error for BadHeader {}

/// Whether the byte may be part of a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the text is a token: a method, a field name, a subprotocol.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Append `name: value` and the end of the line, in Latin-1, as HTTP's fields are read (RFC 9110 section 5.5).
///
/// # Errors
/// The name is no token, or the value holds a control character (CR and LF would start another field) or one that is
/// not in Latin-1.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), BadHeader> {
    let bad = |problem| {
        Err(BadHeader {
            name: name.to_owned(),
            problem,
        })
    };
    if !is_token(name) {
        return bad("the name is not a token");
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return bad("the value holds a control character");
    }
    let Some(value) = value.chars().map(latin1).collect::<Option<Vec<u8>>>() else {
        return bad("the value is not Latin-1");
    };
    for part in [name.as_bytes(), b": ", &value, b"\r\n"] {
        out.extend_from_slice(part);
    }
    Ok(())
}

fn latin1(character: char) -> Option<u8> {
    u8::try_from(u32::from(character)).ok()
}

/// Append the caller's fields, none of which may be one that the handshake writes itself.
///
/// # Errors
/// As `write_field`, or a name out of `own`.
pub(crate) fn write_fields(
    out: &mut Vec<u8>,
    fields: &[(&str, &str)],
    own: &[&str],
) -> Result<(), BadHeader> {
    for (name, value) in fields {
        if is_any(name, own) {
            return Err(BadHeader {
                name: (*name).to_owned(),
                problem: "the handshake writes it itself",
            });
        }
        write_field(out, name, value)?;
    }
    Ok(())
}

/// Whether the name is one of the names, in any case.
pub(crate) fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Values of the fields of a name, in order, trimmed.
pub(crate) fn values<'h, 'b>(
    fields: &'h [Header<'b>],
    name: &'h str,
) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii())
}

/// Whether a comma-separated list, perhaps spread over several fields, has the token in any case.
pub(crate) fn has_token(fields: &[Header<'_>], name: &str, token: &str) -> bool {
    values(fields, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Names in lower case and values as they came.
pub(crate) fn lower_case<'b>(fields: &[Header<'b>]) -> Vec<(String, &'b [u8])> {
    fields
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), field.value.trim_ascii()))
        .collect()
}

/// What the search for the end of a head found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadEnd {
    /// Bytes of the head, its blank line included.
    At(usize),
    /// The blank line is not here yet.
    Missing,
    /// More lines than a head may have.
    TooManyFields,
}

/// Find the blank line that ends a head; lines end with CRLF or LF (RFC 9112 section 2.2).
///
/// Cheap enough to be asked again with each byte of a slow head: it looks only at the ends of lines, of which
/// there are few.
pub(crate) fn find_end(bytes: &[u8]) -> HeadEnd {
    let start = bytes.len() - skip_empty_lines(bytes).len();
    for (line, newline) in memchr_iter(b'\n', &bytes[start..]).enumerate() {
        // The first line is the request's or the status line.
        if line > MAX_FIELDS {
            return HeadEnd::TooManyFields;
        }
        let next = start + newline + 1;
        match &bytes[next..] {
            [b'\n', ..] => return HeadEnd::At(next + 1),
            [b'\r', b'\n', ..] => return HeadEnd::At(next + 2),
            _ => {}
        }
    }
    HeadEnd::Missing
}

/// The bytes after an empty line or two, which may precede a request (RFC 9112 section 2.2).
///
/// More are no request: a peer could send them for ever, and each search would walk over them again.
pub(crate) fn skip_empty_lines(bytes: &[u8]) -> &[u8] {
    const MOST: usize = 4;
    let start = bytes
        .iter()
        .take(MOST)
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::{find_end, has_token, write_field, HeadEnd, MAX_FIELDS};

    #[test]
    fn a_head_ends_with_its_first_blank_line() {
        for (bytes, expected) in [
            (&b""[..], HeadEnd::Missing),
            (b"\r\n\r\n", HeadEnd::Missing),
            (b"a\r\n\r", HeadEnd::Missing),
            (b"a\r\n\r\n", HeadEnd::At(5)),
            (b"a\n\nrest", HeadEnd::At(3)),
            (b"a\n\r\nrest", HeadEnd::At(4)),
            (b"\r\na\r\nb: c\r\n\r\n\r\n", HeadEnd::At(13)),
        ] {
            assert_eq!(find_end(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn too_many_lines_are_known_before_the_end() {
        let most = "a: b\n".repeat(MAX_FIELDS + 1);
        assert_eq!(find_end(most.as_bytes()), HeadEnd::Missing);
        assert_eq!(find_end((most + "a: b\n").as_bytes()), HeadEnd::TooManyFields);
    }

    #[test]
    fn a_token_is_found_in_any_field_of_the_list() {
        let field = |name, value| httparse::Header { name, value };
        let fields = [
            field("Connection", b"keep-alive,  UPGRADE"),
            field("connection", b"x"),
        ];
        assert!(has_token(&fields, "CONNECTION", "upgrade"));
        assert!(has_token(&fields, "connection", "x"));
        assert!(!has_token(&fields, "connection", "keep"));
    }

    #[test]
    fn a_field_that_would_start_another_is_not_written() {
        let mut out = Vec::new();
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nb", "x"),
            ("\u{e9}", "x"),
            ("a", "x\r\nb: c"),
            ("a", "x\nb"),
            ("a", "x\r"),
            ("a", "x\0"),
            ("a", "\u{100}"),
            ("a", "\u{10d}\u{10a}"), // CR and LF, if only the lower halves were written
        ] {
            assert!(write_field(&mut out, name, value).is_err(), "{name:?}: {value:?}");
        }
        assert!(out.is_empty());
        assert_eq!(write_field(&mut out, "X-A", "\u{e9}\tb"), Ok(()));
        assert_eq!(out, b"X-A: \xe9\tb\r\n");
    }
}
