//! Frames on the wire: RFC 6455 section 5.2, both directions. Knows no sockets and no messages.

use std::fmt;

/// Opcodes of RFC 6455 section 5.2.
pub mod opcode {
    /// Continuation of a fragmented message.
    pub const CONTINUATION: u8 = 0x0;
    /// Text message.
    pub const TEXT: u8 = 0x1;
    /// Binary message.
    pub const BINARY: u8 = 0x2;
    /// Connection close.
    pub const CLOSE: u8 = 0x8;
    /// Ping.
    pub const PING: u8 = 0x9;
    /// Pong.
    pub const PONG: u8 = 0xA;
}

/// Reserved bit of the first byte that says "compressed" (RFC 7692 section 6).
pub const RSV1: u8 = 0x40;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// A frame header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// First byte as it came: FIN, RSV1 to RSV3 and the opcode.
    pub first_byte: u8,
    /// Masking key, if the frame is masked.
    pub masking_key: Option<[u8; 4]>,
    /// Bytes of the header itself.
    pub length: usize,
    /// Bytes of the payload that follows.
    pub payload_length: usize,
}

impl Header {
    /// Whether this is the last frame of its message.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.first_byte & FINAL != 0
    }

    /// The opcode.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.first_byte & 0x0F
    }

    /// Whether the message that begins with this frame is compressed (RFC 7692 section 6).
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.first_byte & RSV1 != 0
    }

    /// Whether the frame is a control frame (RFC 6455 section 5.5).
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.opcode() & 0x8 != 0
    }

    /// Bytes of header and payload.
    #[must_use]
    pub const fn frame_length(&self) -> usize {
        self.length + self.payload_length
    }
}

/// A header that breaks RFC 6455; the text names the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHeader(pub &'static str);

impl fmt::Display for BadHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Decodes the header at the start of `bytes`; `None` while it is incomplete.
///
/// # Errors
///
/// `BadHeader` for reserved bits or opcodes, a length that is not minimal, and a control frame that is
/// fragmented or longer than 125 bytes.
pub fn parse_header(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    parse_extended_header(bytes, 0)
}

/// As `parse_header`, where extensions have given the reserved bits `allowed` a meaning.
///
/// # Errors
///
/// As `parse_header`.
pub fn parse_extended_header(bytes: &[u8], allowed: u8) -> Result<Option<Header>, BadHeader> {
    let [first_byte, second_byte, ..] = *bytes else {
        return Ok(None);
    };
    let Some((payload_length, length)) = parse_length(second_byte & 0x7F, &bytes[2..])? else {
        return Ok(None);
    };
    let mut header = Header {
        first_byte,
        masking_key: None,
        length: 2 + length,
        payload_length,
    };
    check_header(&header, allowed)?;
    if second_byte & MASKED != 0 {
        let Some(key) = bytes.get(header.length..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(None);
        };
        header.masking_key = Some(*key);
        header.length += 4;
    }
    Ok(Some(header))
}

/// Decodes the payload length; returns it with the number of extended bytes.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(usize, usize)>, BadHeader> {
    let (length, extended) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
            None => return Ok(None),
        },
        _ => return Ok(Some((usize::from(short), 0))),
    };
    if (extended == 2 && length < 126) || (extended == 8 && length <= 0xFFFF) {
        return Err(BadHeader(
            "payload length is not in its shortest form (section 5.2)",
        ));
    }
    match usize::try_from(length) {
        Ok(length) if length <= usize::MAX / 4 => Ok(Some((length, extended))),
        _ => Err(BadHeader("payload length is out of range (section 5.2)")),
    }
}

fn check_header(header: &Header, allowed: u8) -> Result<(), BadHeader> {
    if header.first_byte & RESERVED & !allowed != 0 {
        return Err(BadHeader(
            "a reserved bit is set and no extension was negotiated (section 5.2)",
        ));
    }
    if !matches!(header.opcode(), 0..=2 | 8..=10) {
        return Err(BadHeader("reserved opcode (section 5.2)"));
    }
    if header.is_control() && !(header.is_final() && header.payload_length <= 125) {
        return Err(BadHeader(
            "control frame is fragmented or longer than 125 bytes (section 5.5)",
        ));
    }
    Ok(())
}

/// Appends a frame header. `first_byte` has FIN and opcode.
pub fn push_header(out: &mut Vec<u8>, first_byte: u8, payload_length: usize, masking_key: Option<[u8; 4]>) {
    let masked = if masking_key.is_some() { MASKED } else { 0 };
    out.push(first_byte);
    // The casts cannot truncate: each arm has bounded the length.
    match payload_length {
        0..=125 => out.push(masked | payload_length as u8),
        126..=0xFFFF => {
            out.push(masked | 126);
            out.extend_from_slice(&(payload_length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(payload_length as u64).to_be_bytes());
        }
    }
    if let Some(key) = masking_key {
        out.extend_from_slice(&key);
    }
}

/// Appends a whole masked frame, as a client sends it (RFC 6455 section 5.1).
pub fn push_client_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], masking_key: [u8; 4]) {
    push_header(out, FINAL | opcode, payload.len(), Some(masking_key));
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], masking_key);
}

/// Appends a whole unmasked frame whose payload is `prefix` and `payload`, as a server sends it.
pub fn push_server_frame(out: &mut Vec<u8>, opcode: u8, prefix: &[u8], payload: &[u8]) {
    push_header(out, FINAL | opcode, prefix.len() + payload.len(), None);
    out.extend_from_slice(prefix);
    out.extend_from_slice(payload);
}

/// Masks or unmasks `payload` in place (RFC 6455 section 5.3).
pub fn apply_mask(payload: &mut [u8], masking_key: [u8; 4]) {
    let [a, b, c, d] = masking_key;
    let wide_key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in words.by_ref().filter_map(<[u8]>::first_chunk_mut) {
        *word = (u64::from_ne_bytes(*word) ^ wide_key).to_ne_bytes();
    }
    for (byte, key) in words.into_remainder().iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frame_of_rfc_section_5_7() {
        let mut out = Vec::new();
        push_client_frame(&mut out, opcode::TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            out,
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
    }

    #[test]
    fn headers_survive_the_round_trip() {
        for payload_length in [0, 1, 125, 126, 0xFFFF, 0x1_0000] {
            for masking_key in [None, Some([1, 2, 3, 4])] {
                let mut out = Vec::new();
                push_header(&mut out, FINAL | opcode::BINARY, payload_length, masking_key);
                let header = parse_header(&out);
                let length = out.len();
                let first_byte = FINAL | opcode::BINARY;
                assert_eq!(
                    header,
                    Ok(Some(Header {
                        first_byte,
                        masking_key,
                        length,
                        payload_length
                    }))
                );
                for cut in 0..length {
                    assert_eq!(parse_header(&out[..cut]), Ok(None));
                }
            }
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        let cases: [&[u8]; 6] = [
            &[0xC1, 0x00],
            &[0x83, 0x00],
            &[0x81, 126, 0, 125],
            &[0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
            &[0x09, 0x00],
            &[0x89, 126, 0, 126],
        ];
        for bytes in cases {
            assert!(parse_header(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn masking_works_on_every_length() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, [9, 8, 7, 6]);
            for (position, byte) in masked.iter().enumerate() {
                assert_eq!(*byte, plain[position] ^ [9, 8, 7, 6][position % 4]);
            }
        }
    }
}
