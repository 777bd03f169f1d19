//! SplitMix64: numbers that are random enough for handshake keys and message texts.

use std::hash::{BuildHasher, RandomState};

/// A generator of 64-bit numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from entropy of the operating system, as the standard library's hash maps do.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }

    /// Starts from `seed`, so that the same numbers come in every run.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns 16 bytes, the size of a `Sec-WebSocket-Key` (RFC 6455 section 4.1).
    pub fn next_16_bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes
    }

    /// Returns a masking key in which no byte is zero, so that masking changes every byte.
    pub fn next_masking_key(&mut self) -> [u8; 4] {
        let bytes = self.next_u64().to_le_bytes();
        [bytes[0] | 1, bytes[1] | 2, bytes[2] | 4, bytes[3] | 8]
    }
}
