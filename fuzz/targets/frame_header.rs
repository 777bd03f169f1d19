//! Headers of frames: the reader refuses exactly those that RFC 6455 section 5.2 and the limits forbid, as another
//! reading of that section has them.
#![no_main]

use django_bolt_protocol::{Input, MessageReader, ReaderConfig, Role};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1000;

/// Whether the first frame of a connection may have this header; None while too little of it is here.
fn is_allowed(bytes: &[u8], role: Role) -> Option<bool> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    let (fin, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    let (masked, short) = (second & 0x80 != 0, second & 0x7f);
    let is_control = opcode >= 8;
    // A continuation frame is wrong as well: no message has begun.
    let is_known = matches!(opcode, 1 | 2 | 8 | 9 | 10);
    let is_control_wrong = is_control && (!fin || short > 125);
    if reserved != 0 || !is_known || masked != (role == Role::Server) || is_control_wrong {
        return Some(false);
    }
    let (length, rest) = match short {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), &rest[8..]),
        _ => (u64::from(short), rest),
    };
    let is_minimal = match short {
        126 => length > 125,
        127 => length > 0xffff,
        _ => true,
    };
    if !is_minimal || length > LIMIT {
        return Some(false);
    }
    (!masked || rest.len() >= 4).then_some(true)
}

fuzz_target!(|data: &[u8]| {
    for role in [Role::Server, Role::Client] {
        let mut reader = MessageReader::new(ReaderConfig {
            role,
            max_frame_size: LIMIT,
            max_message_size: LIMIT,
            max_fragments: 10,
        });
        for len in 1..=data.len().min(14) {
            let expected = is_allowed(&data[..len], role);
            let mut byte = [data[len - 1]];
            let mut input = Input::new(&mut byte);
            let read = reader.read(&mut input);
            match expected {
                Some(false) => {
                    // Perhaps only once the header is whole.
                    let is_whole = len >= header_len(data[1]);
                    assert!(read.is_err() || !is_whole, "{:02x?} is not refused", &data[..len]);
                    if read.is_err() {
                        break;
                    }
                }
                None => {
                    let is_hopeless = completions(&data[..len], role)
                        .iter()
                        .all(|header| is_allowed(header, role) == Some(false));
                    assert!(
                        read == Ok(None) || is_hopeless,
                        "{:02x?} is refused",
                        &data[..len]
                    );
                    if read.is_err() {
                        break;
                    }
                }
                Some(true) => {
                    assert!(
                        read.is_ok() || opens_close(data),
                        "{:02x?} is refused: {read:?}",
                        &data[..len]
                    );
                    break;
                }
            }
        }
    }
});

/// What may become of the beginning of a header: the least and the greatest.
fn completions(bytes: &[u8], role: Role) -> [Vec<u8>; 2] {
    [0, 0xff].map(|filler| {
        let mut header = bytes.to_vec();
        if header.len() == 1 {
            header.push(if role == Role::Server { 0x81 } else { 0x01 });
        }
        header.resize(14, filler);
        header
    })
}

/// Bytes of a header, by its second.
fn header_len(second: u8) -> usize {
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 != 0 { 4 } else { 0 }
}

/// Whether an error may be that of a Close frame's payload.
fn opens_close(data: &[u8]) -> bool {
    data[0] & 0x0f == 8
}
