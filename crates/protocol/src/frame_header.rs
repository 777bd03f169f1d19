//! Reading the header of a frame (RFC 6455 section 5.2).
//!
//! The module owns the rules that a header can break by itself. It must not know what came before the frame:
//! the rules of fragmentation (section 5.4) and the limits are in [`crate::message`].

use crate::config::Role;
use crate::error::ProtocolError;
use crate::frame::{Opcode, FIN, LENGTH_16, LENGTH_64, MASKED, RESERVED, RSV1};

const TEXT: u8 = Opcode::Text as u8;
const BINARY: u8 = Opcode::Binary as u8;

/// A frame's header, its extended length and masking key included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) fin: bool,
    /// Set on the first frame of a compressed message (RFC 7692 section 6).
    pub(crate) rsv1: bool,
    pub(crate) opcode: Opcode,
    /// The masking key; zeros where frames are not masked.
    pub(crate) key: [u8; 4],
    pub(crate) payload_len: u64,
    /// Bytes of the header itself.
    pub(crate) size: usize,
}

impl FrameHeader {
    /// Read a header; None if the bytes end before it does.
    ///
    /// Each byte is judged as soon as it is here, so that a peer that breaks a rule with the first is not
    /// waited for. `deflate` tells whether permessage-deflate was negotiated.
    pub(crate) fn parse(bytes: &[u8], role: Role, deflate: bool) -> Result<Option<Self>, ProtocolError> {
        let Some(first) = bytes.first() else {
            return Ok(None);
        };
        let opcode = parse_first(*first, deflate)?;
        let Some(second) = bytes.get(1) else {
            return Ok(None);
        };
        check_second(*second, opcode, role)?;
        let Some((payload_len, end)) = parse_length(bytes, second & !MASKED)? else {
            return Ok(None);
        };
        let Some((key, size)) = parse_key(bytes, end, role) else {
            return Ok(None);
        };
        Ok(Some(Self {
            fin: first & FIN != 0,
            rsv1: first & RSV1 != 0,
            opcode,
            key,
            payload_len,
            size,
        }))
    }
}

/// Check FIN, the reserved bits and the opcode.
///
/// With permessage-deflate RSV1 may be set on a frame that begins a data message, and on no other (RFC 7692
/// sections 6 and 6.1).
fn parse_first(first: u8, deflate: bool) -> Result<Opcode, ProtocolError> {
    let begins_message = matches!(first & 0x0f, TEXT | BINARY);
    let allowed = if deflate && begins_message { RSV1 } else { 0 };
    if first & RESERVED & !allowed != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    let number = first & 0x0f;
    let opcode = Opcode::from_number(number).ok_or(ProtocolError::ReservedOpcode(number))?;
    if opcode.is_control() && first & FIN == 0 {
        return Err(ProtocolError::FragmentedControl(opcode));
    }
    Ok(opcode)
}

/// Check the mask bit against the role, and a control frame's length.
fn check_second(second: u8, opcode: Opcode, role: Role) -> Result<(), ProtocolError> {
    match (role, second & MASKED != 0) {
        (Role::Server, false) => return Err(ProtocolError::Unmasked),
        (Role::Client, true) => return Err(ProtocolError::Masked),
        _ => {}
    }
    // 126 and 127 announce a longer length, which control frames may not have (section 5.5).
    if opcode.is_control() && second & !MASKED >= LENGTH_16 {
        return Err(ProtocolError::ControlTooLong(opcode));
    }
    Ok(())
}

/// The payload length and where it ends; None if its bytes are not all here.
fn parse_length(bytes: &[u8], short: u8) -> Result<Option<(u64, usize)>, ProtocolError> {
    let (length, end, least) = match short {
        LENGTH_16 => match bytes.get(2..4) {
            Some(&[high, low]) => (
                u64::from(u16::from_be_bytes([high, low])),
                4,
                u64::from(LENGTH_16),
            ),
            _ => return Ok(None),
        },
        LENGTH_64 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(length)) => (u64::from_be_bytes(length), 10, 1 << 16),
            _ => return Ok(None),
        },
        _ => (u64::from(short), 2, 0),
    };
    if length < least {
        return Err(ProtocolError::LengthNotMinimal);
    }
    if length > i64::MAX as u64 {
        return Err(ProtocolError::LengthOutOfRange);
    }
    Ok(Some((length, end)))
}

/// The masking key and where it ends; None if its bytes are not all here.
fn parse_key(bytes: &[u8], start: usize, role: Role) -> Option<([u8; 4], usize)> {
    match role {
        Role::Client => Some(([0; 4], start)),
        Role::Server => {
            let key = bytes.get(start..start + 4)?.try_into().ok()?;
            Some((key, start + 4))
        }
    }
}
