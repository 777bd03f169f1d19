//! Close codes and the payload of a Close frame (RFC 6455 sections 5.5.1 and 7.4).
//!
//! The module owns which codes may travel, and the payload's form. It must not know when a connection closes.

use crate::error::ProtocolError;

/// Longest close reason in bytes of UTF-8: a control frame's 125 less the code's two (section 5.5).
pub const MAX_REASON: usize = 123;

/// Whether an endpoint may put the code into a Close frame.
///
/// 1004 is undefined; 1005, 1006 and 1015 describe what was seen and never travel (section 7.4.1); 1012 to
/// 1014 came with the IANA registry; 3000 to 4999 belong to frameworks and applications (section 7.4.2).
#[must_use]
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Whether a code found in a Close frame is valid: what may not be sent may not be received.
#[must_use]
pub fn is_receivable(code: u16) -> bool {
    is_sendable(code)
}

/// What a Close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosePayload<'a> {
    /// The close code; None if the frame had no payload (section 7.1.5 calls that 1005).
    pub code: Option<u16>,
    /// The close reason, often empty.
    pub reason: &'a str,
}

impl<'a> ClosePayload<'a> {
    /// Read the payload of a Close frame.
    ///
    /// # Errors
    /// A single byte, a code that may not be sent, or a reason that is not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let (code, reason) = match payload {
            [] => {
                return Ok(Self {
                    code: None,
                    reason: "",
                })
            }
            [_] => return Err(ProtocolError::CloseTooShort),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !is_receivable(code) {
            return Err(ProtocolError::CloseCode(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
        Ok(Self {
            code: Some(code),
            reason,
        })
    }
}
