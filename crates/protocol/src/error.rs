//! What a peer can do wrong after the opening handshake: one variant for each rule of RFC 6455 it may break.
//!
//! The module owns the errors and the close code that answers each (section 7.4.1). It must not know how a
//! connection is failed.

use std::fmt;

use crate::frame::Opcode;

/// The peer broke a rule of RFC 6455, or one of our limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A reserved bit is set that no negotiated extension defines (section 5.2).
    ReservedBits,
    /// The opcode is one of 3-7 or 11-15 (section 5.2).
    ReservedOpcode(u8),
    /// The payload length is encoded in more bytes than it needs (section 5.2).
    LengthNotMinimal,
    /// The most significant bit of a 64-bit payload length is set (section 5.2).
    LengthOutOfRange,
    /// A client sent a frame without masking it (section 5.1).
    Unmasked,
    /// A server masked a frame (section 5.1).
    Masked,
    /// A control frame without FIN (section 5.5).
    FragmentedControl(Opcode),
    /// A control frame with more than 125 bytes of payload (section 5.5).
    ControlTooLong(Opcode),
    /// A continuation frame while no message is under way (section 5.4).
    UnexpectedContinuation,
    /// A new data frame while a fragmented message is under way (section 5.4).
    ExpectedContinuation(Opcode),
    /// A Close frame whose payload is a single byte (section 5.5.1).
    CloseTooShort,
    /// A close code that may not be sent (section 7.4).
    CloseCode(u16),
    /// A close reason that is not UTF-8 (section 5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (section 8.1).
    TextNotUtf8,
    /// A frame declares a payload over the limit (section 10.4).
    FrameTooBig {
        /// Declared payload length in bytes.
        size: u64,
        /// Allowed payload length in bytes.
        limit: u64,
    },
    /// The frames of a message add up to more than the limit (section 10.4).
    MessageTooBig {
        /// Payload bytes of the message as far as declared.
        size: u64,
        /// Allowed bytes.
        limit: u64,
    },
    /// A compressed message inflates to more than the limit (section 10.4).
    InflatedTooBig {
        /// Allowed bytes.
        limit: u64,
    },
    /// A compressed message that is not deflate data, or ends inside a block (RFC 7692 section 7.2.2).
    CorruptDeflate,
    /// A message in more fragments than allowed (section 10.4).
    TooManyFragments {
        /// Allowed number of frames.
        limit: u32,
    },
}

impl ProtocolError {
    /// The close code to fail the connection with: 1002, 1007 or 1009.
    ///
    /// RFC 7692 names none for data that do not inflate. 1007 is for "data within a message that was not
    /// consistent with the type of the message" (section 7.4.1), and what others answer.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 | Self::CorruptDeflate => 1007,
            Self::FrameTooBig { .. }
            | Self::MessageTooBig { .. }
            | Self::InflatedTooBig { .. }
            | Self::TooManyFragments { .. } => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("reserved bit set"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode:#x}"),
            Self::LengthNotMinimal => f.write_str("payload length not minimally encoded"),
            Self::LengthOutOfRange => f.write_str("payload length exceeds 63 bits"),
            Self::Unmasked => f.write_str("frame from client not masked"),
            Self::Masked => f.write_str("frame from server masked"),
            Self::FragmentedControl(opcode) => write!(f, "fragmented {opcode} frame"),
            Self::ControlTooLong(opcode) => write!(f, "{opcode} frame with payload over 125 bytes"),
            Self::UnexpectedContinuation => f.write_str("continuation frame outside a message"),
            Self::ExpectedContinuation(opcode) => write!(f, "{opcode} frame inside a fragmented message"),
            Self::CloseTooShort => f.write_str("close frame with a payload of 1 byte"),
            Self::CloseCode(code) => write!(f, "invalid close code {code}"),
            Self::CloseReasonNotUtf8 => f.write_str("close reason is not UTF-8"),
            Self::TextNotUtf8 => f.write_str("text message is not UTF-8"),
            Self::FrameTooBig { size, limit } => write!(f, "frame of {size} bytes exceeds {limit}"),
            Self::MessageTooBig { size, limit } => write!(f, "message of {size} bytes exceeds {limit}"),
            Self::InflatedTooBig { limit } => {
                write!(f, "compressed message inflates to more than {limit} bytes")
            }
            Self::CorruptDeflate => f.write_str("compressed message is not valid deflate data"),
            Self::TooManyFragments { limit } => write!(f, "message in more than {limit} fragments"),
        }
    }
}

impl std::error::Error for ProtocolError {}
