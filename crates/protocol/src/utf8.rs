//! UTF-8 that arrives in pieces (RFC 6455 section 8.1).
//!
//! The module owns validation across the boundaries of pieces. It must not know frames or messages.
//!
//! It decodes rather than only validates: each piece is checked once, by SIMD, on its way into a `String`,
//! so that a finished message is text without a second look.

/// Longest beginning of a sequence that lacks its end.
const MAX_PARTIAL: usize = 3;

/// The bytes are not UTF-8, whatever may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// Decodes UTF-8 piece by piece; carries over a sequence that a piece leaves incomplete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Decoder {
    partial: [u8; MAX_PARTIAL],
    len: u8,
}

impl Utf8Decoder {
    /// Append a piece's text to `out`, except a sequence that is incomplete at its end.
    ///
    /// # Errors
    /// At the first byte with which no text could go on, even inside a sequence (`F4 90`, `ED A0`, `C0`).
    pub fn push(&mut self, piece: &[u8], out: &mut String) -> Result<(), InvalidUtf8> {
        let piece = self.complete(piece, out)?;
        let (body, tail) = piece.split_at(piece.len() - incomplete_tail(piece));
        out.push_str(simdutf8::basic::from_utf8(body).map_err(|_| InvalidUtf8)?);
        if !tail.is_empty() {
            decode_sequence(tail)?;
            self.carry(tail);
        }
        Ok(())
    }

    /// Whether the text may end here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Number of bytes carried over.
    #[must_use]
    pub fn carried(&self) -> usize {
        usize::from(self.len)
    }

    /// Complete the sequence carried over, if any, with the piece's first bytes; return the rest.
    fn complete<'p>(&mut self, piece: &'p [u8], out: &mut String) -> Result<&'p [u8], InvalidUtf8> {
        let mut rest = piece;
        while let (false, [byte, after @ ..]) = (self.is_complete(), rest) {
            let mut sequence = [0; MAX_PARTIAL + 1];
            let held = self.carried();
            sequence[..held].copy_from_slice(&self.partial[..held]);
            sequence[held] = *byte;
            match decode_sequence(&sequence[..=held])? {
                Some(character) => {
                    out.push_str(character);
                    self.len = 0;
                }
                None => self.carry(&sequence[..=held]),
            }
            rest = after;
        }
        Ok(rest)
    }

    fn carry(&mut self, sequence: &[u8]) {
        self.partial[..sequence.len()].copy_from_slice(sequence);
        // At most MAX_PARTIAL: four bytes are a whole sequence or an error.
        self.len = sequence.len() as u8;
    }
}

/// The character of a sequence; None while it is incomplete and could still become one.
fn decode_sequence(sequence: &[u8]) -> Result<Option<&str>, InvalidUtf8> {
    match std::str::from_utf8(sequence) {
        Ok(character) => Ok(Some(character)),
        Err(error) if error.error_len().is_none() => Ok(None),
        Err(_) => Err(InvalidUtf8),
    }
}

/// Length of the sequence at the end of the piece that lacks bytes by what its first byte announces.
fn incomplete_tail(piece: &[u8]) -> usize {
    for (len, byte) in (1..=MAX_PARTIAL).zip(piece.iter().rev()) {
        let announced = match byte {
            0x80..=0xbf => continue,
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        return if announced > len { len } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::incomplete_tail;

    #[test]
    fn incomplete_tail_is_what_the_first_byte_announces_and_lacks() {
        for (piece, expected) in [
            (&b""[..], 0),
            (b"a", 0),
            (b"a\xc3", 1),
            (b"a\xc3\xa9", 0),
            (b"\xe2\x82", 2),
            (b"\xe2\x82\xac", 0),
            (b"\xf0\x9f\x98", 3),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\x80\x80\x80\x80", 0),
        ] {
            assert_eq!(incomplete_tail(piece), expected, "{piece:x?}");
        }
    }
}
