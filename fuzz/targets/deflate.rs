//! Messages compressed with any configuration, at once and piece by piece, are read back as they were.
#![no_main]

use django_bolt_fuzz::{read_in_every_way, Choices, Owned};
use django_bolt_protocol::deflate::{write_compressed_frame, Config, Deflater, Direction};
use django_bolt_protocol::{write_frame, Opcode, ReaderConfig, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let config = Config {
        level: choices.byte() % 11,
        memory_level: choices.byte() % 11,
        ..Config::default()
    };
    let direction = Direction {
        context_takeover: choices.byte() & 1 == 1,
        window_bits: choices.byte() % 17,
    };
    let cuts = choices.take(4);
    let mut deflater = Deflater::new(direction, &config);
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    while !choices.is_empty() {
        let (how, len) = (choices.byte(), usize::from(choices.byte()));
        let payload = choices
            .take(len)
            .repeat([1, 2, 10, 100][usize::from(how >> 4) % 4]);
        let mut out = Vec::new();
        let mut is_compressed = true;
        match how & 3 {
            0 => is_compressed = deflater.compress(&payload, &mut out),
            1 => deflater.deflate(&payload, &mut out),
            _ => {
                let mut deflation = deflater.begin();
                let piece = usize::from(cuts.first().copied().unwrap_or(7)) + 1;
                for (number, part) in payload.chunks(piece).enumerate() {
                    deflation.push(part, &mut out);
                    if number == usize::from(cuts.last().copied().unwrap_or(0)) {
                        deflation.flush(&mut out);
                    }
                }
                deflater = deflation.finish(&mut out);
            }
        }
        if is_compressed {
            write_compressed_frame(&mut stream, Opcode::Binary, &out, None);
        } else {
            assert!(
                out.is_empty(),
                "nothing is appended where the message is to be sent plain"
            );
            write_frame(&mut stream, Opcode::Binary, &payload, None);
        }
        expected.push(Owned::Binary(payload));
    }
    if stream.len() > 1 << 18 {
        return;
    }
    let config = ReaderConfig {
        role: Role::Client,
        max_frame_size: 1 << 20,
        max_message_size: 1 << 20,
        max_fragments: 100,
    };
    assert_eq!(
        read_in_every_way(&stream, cuts, config, Some(direction)),
        (expected, None)
    );
});
