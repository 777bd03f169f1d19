//! What a reader demands and allows.
//!
//! The module owns the role (RFC 6455 section 5.1) and the limits (section 10.4). It must not know where the
//! values come from.

/// Whose reader it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server's: frames must be masked (section 5.1).
    Server,
    /// A client's: frames must not be masked (section 5.1).
    Client,
}

/// What a reader demands and allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Whose reader it is.
    pub role: Role,
    /// Most payload bytes of one data frame.
    pub max_frame_size: u64,
    /// Most payload bytes of one message, over all its fragments.
    pub max_message_size: u64,
    /// Most frames of one fragmented message, those without payload included.
    pub max_fragments: u32,
}
