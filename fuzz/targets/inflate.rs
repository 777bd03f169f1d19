//! Any bytes as the payload of compressed messages: inflating stops at the limit, and what another inflater makes of
//! the same data, ours makes, too.
#![no_main]

use django_bolt_fuzz::{read_in_every_way, Choices, Owned};
use django_bolt_protocol::deflate::Direction;
use django_bolt_protocol::{write_header, Opcode, ProtocolError, ReaderConfig, Role};
use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 20_000;

/// What flate2 makes of a message by itself: None for what is wrong, over the limit, or ends a stream, of which
/// receivers make different things.
fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    let data = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    let mut out = vec![0; LIMIT + 1];
    let mut state = Decompress::new(false);
    let status = state.decompress(&data, &mut out, FlushDecompress::Sync).ok()?;
    let is_whole = state.total_in() == data.len() as u64 && status != Status::StreamEnd;
    out.truncate(usize::try_from(state.total_out()).ok()?);
    (is_whole && out.len() <= LIMIT).then_some(out)
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let context_takeover = choices.byte() & 1 == 1;
    let cuts = choices.take(4);
    let mut stream = Vec::new();
    let mut first = None;
    // Messages in fragments, whose lengths are bytes of the input.
    while !choices.is_empty() {
        let mut message = Vec::new();
        let (count, mut opcode) = (choices.byte() % 4, Opcode::Binary);
        for left in (0..=count).rev() {
            let len = usize::from(choices.byte());
            let payload = choices.take(if left == 0 { len * 8 } else { len });
            write_header(
                &mut stream,
                left == 0,
                opcode == Opcode::Binary,
                opcode,
                payload.len(),
                None,
            );
            stream.extend_from_slice(payload);
            message.extend_from_slice(payload);
            opcode = Opcode::Continuation;
        }
        first.get_or_insert(message);
    }
    let config = ReaderConfig {
        role: Role::Client,
        max_frame_size: LIMIT as u64,
        max_message_size: LIMIT as u64,
        max_fragments: 100,
    };
    let direction = Direction {
        context_takeover,
        window_bits: 15,
    };
    let (events, error) = read_in_every_way(&stream, cuts, config, Some(direction));
    // It does not say whether a message ends inside a block, which only we refuse.
    if let (Some(Owned::Binary(ours)), Some(theirs)) = (events.first(), first.as_deref().and_then(inflate)) {
        assert_eq!(*ours, theirs);
    }
    if let Some(error) = error {
        assert!(matches!(
            error,
            ProtocolError::CorruptDeflate
                | ProtocolError::InflatedTooBig { .. }
                | ProtocolError::FrameTooBig { .. }
                | ProtocolError::MessageTooBig { .. }
        ));
    }
});
