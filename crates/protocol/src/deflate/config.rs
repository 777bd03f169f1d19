//! What an endpoint wishes of permessage-deflate (RFC 7692 section 7.1).
//!
//! The module owns the values and their ranges. It must not know what the peer wishes.

use std::fmt;

/// Least base-2 logarithm of an LZ77 window (section 7.1.2).
pub const MIN_WINDOW_BITS: u8 = 8;

/// Greatest base-2 logarithm of an LZ77 window, which holds where none is agreed on (section 7.1.2).
pub const MAX_WINDOW_BITS: u8 = 15;

/// What an endpoint wishes of permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Whether the server forgets its context after each message (section 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// Whether the client forgets its context after each message (section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// Greatest window of the server, 8 to 15 (section 7.1.2.1).
    pub server_max_window_bits: u8,
    /// Greatest window of the client, 8 to 15, as far as the client can be told (section 7.1.2.2).
    pub client_max_window_bits: u8,
    /// Compression level, 1 (fastest) to 9 (smallest).
    pub level: u8,
    /// Memory of the compressor, 1 to 9.
    pub memory_level: u8,
    /// Bytes of payload below which a message is better sent plain.
    pub min_size: usize,
}

impl Default for Config {
    /// No context takeover, so that an idle connection holds no memory for compression.
    ///
    /// Measured on JSON (`benches/deflate.rs`): level 1 takes a third of level 3's time for 1.3 times its output.
    /// Messages up to 1 KiB all cost about the same 5 microseconds, for tables are cleared and codes are built;
    /// what is saved below that rarely saves a packet.
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: MAX_WINDOW_BITS,
            client_max_window_bits: MAX_WINDOW_BITS,
            level: 1,
            memory_level: 8,
            min_size: 1024,
        }
    }
}

impl Config {
    /// Check the ranges. Values out of range are otherwise taken as the nearest that is in it.
    ///
    /// # Errors
    /// The first value that is out of its range.
    pub fn check(&self) -> Result<(), BadConfig> {
        for (name, value, least, most) in [
            (
                "server_max_window_bits",
                self.server_max_window_bits,
                MIN_WINDOW_BITS,
                MAX_WINDOW_BITS,
            ),
            (
                "client_max_window_bits",
                self.client_max_window_bits,
                MIN_WINDOW_BITS,
                MAX_WINDOW_BITS,
            ),
            ("level", self.level, 1, 9),
            ("memory_level", self.memory_level, 1, 9),
        ] {
            if !(least..=most).contains(&value) {
                return Err(BadConfig {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    pub(super) fn within_ranges(mut self) -> Self {
        for bits in [&mut self.server_max_window_bits, &mut self.client_max_window_bits] {
            *bits = (*bits).clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS);
        }
        for level in [&mut self.level, &mut self.memory_level] {
            *level = (*level).clamp(1, 9);
        }
        self
    }
}

/// A value of [`Config`] that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadConfig {
    /// The field.
    pub name: &'static str,
    /// What it was.
    pub value: u8,
    /// The least it may be.
    pub least: u8,
    /// The most it may be.
    pub most: u8,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            least,
            most,
        } = self;
        write!(f, "{name} is {value}, not from {least} to {most}")
    }
}

impl std::error::Error for BadConfig {}
