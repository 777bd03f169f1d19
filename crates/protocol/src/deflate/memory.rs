//! What compression costs in memory.
//!
//! The module owns the figures, which a test compares with what is really taken. They are those of zlib-rs,
//! whose tables do not all shrink with the window: an inflater always has 32 KiB of it, and a compressor always
//! has a hash table of 128 KiB.

/// Bytes that an inflater takes, whatever the window: 32 KiB of window, and tables.
///
/// A reader holds one while a compressed message is under way; with context takeover by the peer, from its first
/// compressed message on.
pub const INFLATER_SIZE: usize = 47_744;

/// Bytes that a [`Deflater`](super::Deflater) takes.
#[must_use]
pub const fn deflater_size(window_bits: u8, memory_level: u8) -> usize {
    let bits = if window_bits < 9 { 9 } else { window_bits };
    // Two windows of bytes and one of links, of two bytes each.
    let window = 4 << bits;
    let hash_table = 128 * 1024;
    // Four bytes of output and three of symbols for each literal of a block.
    let block = 7 << (memory_level + 6);
    STATE + window + hash_table + block
}

/// The compressor's fixed part: its Huffman trees, and padding.
const STATE: usize = 3_264;
