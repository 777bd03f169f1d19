//! permessage-deflate without context takeover (RFC 7692), by another implementation than that of the servers' core.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What the generator offers.
pub const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What a sender takes away from the end of a message, and a receiver puts back (section 7.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
const LEVEL: u32 = 6;

/// Compresses one message.
///
/// # Panics
///
/// Never: memory is always enough for the output.
#[must_use]
pub fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 64);
    let outcome =
        Compress::new(Compression::new(LEVEL), false).compress_vec(payload, &mut out, FlushCompress::Sync);
    debug_assert!(matches!(outcome, Ok(Status::Ok)));
    out.truncate(out.len().saturating_sub(TAIL.len()));
    out
}

/// Decompresses messages, each by itself.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Inflater {
    /// Decompresses a message of at most `limit` bytes; `None` when it is longer or malformed.
    pub fn inflate(&mut self, mut payload: Vec<u8>, limit: usize) -> Option<Vec<u8>> {
        payload.extend_from_slice(&TAIL);
        self.0.reset(false);
        // One byte more shows what is too long.
        let mut out = Vec::with_capacity(limit + 1);
        self.0
            .decompress_vec(&payload, &mut out, FlushDecompress::Sync)
            .ok()?;
        let whole = self.0.total_in() == payload.len() as u64;
        (whole && out.len() <= limit).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let text = b"the room is full of people ".repeat(100);
        let compressed = deflate(&text);
        assert!(compressed.len() < 100);
        let mut inflater = Inflater::default();
        for _ in 0..2 {
            assert_eq!(
                inflater.inflate(compressed.clone(), text.len()),
                Some(text.clone())
            );
        }
        assert_eq!(inflater.inflate(compressed, text.len() - 1), None);
        assert_eq!(inflater.inflate(vec![0xFF; 20], 100), None);
    }

    #[test]
    fn example_of_rfc_7692_section_7_2_3_1() {
        let hello = vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(Inflater::default().inflate(hello, 5), Some(b"Hello".to_vec()));
    }
}
