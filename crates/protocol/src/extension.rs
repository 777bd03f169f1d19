//! The header field Sec-WebSocket-Extensions (RFC 6455 section 9.1).
//!
//! The module owns the field's grammar. It must not know any extension, nor what its parameters mean.

use std::borrow::Cow;
use std::fmt;

use crate::header::is_token_byte;

/// A value of Sec-WebSocket-Extensions that does not follow the grammar of section 9.1.
///
/// Section 9.1 has whoever receives it fail the connection: a server answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedExtensions;

impl fmt::Display for MalformedExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed Sec-WebSocket-Extensions")
    }
}

impl std::error::Error for MalformedExtensions {}

/// An extension as offered or chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'v> {
    /// The registered name.
    pub name: &'v str,
    /// Parameters in order, repeated ones included.
    pub parameters: Vec<Parameter<'v>>,
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'v> {
    /// The name.
    pub name: &'v str,
    /// The value without its quotes, if there is one; a token either way.
    pub value: Option<Cow<'v, str>>,
}

/// Read one field's value; more fields of the name carry on the list (section 9.1).
///
/// # Errors
/// The value does not follow the grammar. Empty elements of the list, and an empty value, are let pass, as
/// RFC 9110 section 5.6.1 demands of recipients.
pub fn parse_extensions(value: &[u8]) -> Result<Vec<Extension<'_>>, MalformedExtensions> {
    let mut cursor = Cursor { rest: value };
    let mut extensions = Vec::new();
    loop {
        while cursor.eat(b',') {}
        if cursor.rest.is_empty() {
            return Ok(extensions);
        }
        extensions.push(cursor.extension()?);
        if !cursor.rest.is_empty() && !cursor.eat(b',') {
            return Err(MalformedExtensions);
        }
    }
}

/// What is left of a value. Space may stand around every token and separator.
struct Cursor<'v> {
    rest: &'v [u8],
}

impl<'v> Cursor<'v> {
    fn extension(&mut self) -> Result<Extension<'v>, MalformedExtensions> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.eat(b';') {
            parameters.push(self.parameter()?);
        }
        Ok(Extension { name, parameters })
    }

    fn parameter(&mut self) -> Result<Parameter<'v>, MalformedExtensions> {
        let name = self.token()?;
        let value = match (self.eat(b'='), self.rest) {
            (false, _) => None,
            (true, [b'"', ..]) => Some(Cow::Owned(self.quoted()?)),
            (true, _) => Some(Cow::Borrowed(self.token()?)),
        };
        Ok(Parameter { name, value })
    }

    fn token(&mut self) -> Result<&'v str, MalformedExtensions> {
        self.skip_space();
        let len = self.rest.iter().take_while(|byte| is_token_byte(**byte)).count();
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.skip_space();
        if token.is_empty() {
            return Err(MalformedExtensions);
        }
        std::str::from_utf8(token).map_err(|_| MalformedExtensions)
    }

    /// A quoted string, which must hold a token once its backslashes are resolved.
    fn quoted(&mut self) -> Result<String, MalformedExtensions> {
        let mut text = String::new();
        let mut bytes = self.rest.iter().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            let byte = match byte {
                b'"' if text.is_empty() => break,
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    self.skip_space();
                    return Ok(text);
                }
                b'\\' => bytes.next().map_or(0, |(_, escaped)| *escaped),
                _ => *byte,
            };
            if !is_token_byte(byte) {
                break;
            }
            text.push(char::from(byte));
        }
        Err(MalformedExtensions)
    }

    /// Consume the separator if it is next.
    fn eat(&mut self, separator: u8) -> bool {
        self.skip_space();
        let Some((first, rest)) = self.rest.split_first() else {
            return false;
        };
        if *first == separator {
            self.rest = rest;
            self.skip_space();
        }
        *first == separator
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}
