//! Masking of payloads (RFC 6455 section 5.3).
//!
//! The module owns the XOR. It must not know frames, nor where a masking key comes from.

/// Bytes of a step: a multiple of 4, so that each step begins at the same byte of the key.
const STEP: usize = 32;

/// Mask or unmask in place; `offset` bytes of the same payload came before this piece.
///
/// The same operation does both, as it is its own inverse. Whole steps compile to vector instructions.
#[inline]
pub fn apply_mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let wide = u64::from(u32::from_ne_bytes(key)) * 0x1_0000_0001;

    let mut steps = payload.chunks_exact_mut(STEP);
    for step in &mut steps {
        for word in step.chunks_exact_mut(8) {
            xor_word(word, wide);
        }
    }
    let mut words = steps.into_remainder().chunks_exact_mut(8);
    for word in &mut words {
        xor_word(word, wide);
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

#[inline]
fn xor_word(word: &mut [u8], mask: u64) {
    if let Ok(bytes) = <&mut [u8; 8]>::try_from(word) {
        *bytes = (u64::from_ne_bytes(*bytes) ^ mask).to_ne_bytes();
    }
}
