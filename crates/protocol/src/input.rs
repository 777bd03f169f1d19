//! What a reader is fed.
//!
//! The module owns the bytes of one read and how far they are consumed. It must not know what they mean.

use crate::deflate::InflaterPool;

/// Bytes from the peer that are not yet consumed. The reader unmasks them in place.
#[derive(Debug)]
pub struct Input<'b> {
    pub(crate) bytes: &'b mut [u8],
    /// Where the states of compressed messages come from, and go back to.
    pub(crate) pool: Option<&'b mut InflaterPool>,
}

impl<'b> Input<'b> {
    /// Wrap bytes as received.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, pool: None }
    }

    /// Wrap bytes as received, with a pool for the states of compressed messages.
    #[inline]
    #[must_use]
    pub fn with_pool(bytes: &'b mut [u8], pool: &'b mut InflaterPool) -> Self {
        Self {
            bytes,
            pool: Some(pool),
        }
    }

    /// Whether everything was consumed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number of bytes not yet consumed.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.bytes).split_at_mut(len);
        self.bytes = rest;
        taken
    }

    pub(crate) fn discard(&mut self) {
        self.bytes = &mut [];
    }
}
