//! What permessage-deflate costs: `cargo bench -p django-bolt-protocol --bench deflate`.
//!
//! Prints a table of microseconds and MB of plain payload a second, the best of some rounds, for JSON in which
//! numbers differ from object to object. Without context takeover a compressor is reset before each message.

use std::hint::black_box;
use std::time::Instant;

use django_bolt_protocol::deflate::{write_compressed_frame, Config, Deflater, Direction, InflaterPool};
use django_bolt_protocol::{Input, MessageReader, Opcode, ReaderConfig, Role};

const ROUNDS: usize = 15;
/// More text than a window holds, so that takeover meets no message twice.
const TEXT: usize = 1 << 20;

fn main() {
    // `cargo test --all-targets` runs this as well, without the argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{:<48}{:>10}{:>10}{:>10}", "", "us", "MB/s", "size");
    for len in [128, 256, 512, 1024, 4096, 65_536] {
        let messages: Vec<Vec<u8>> = json(TEXT)
            .as_bytes()
            .chunks_exact(len)
            .map(<[u8]>::to_vec)
            .collect();
        for level in [1, 2, 3, 6] {
            for context_takeover in [false, true] {
                compress(&messages, level, context_takeover);
            }
        }
        inflate(&messages, true);
        inflate(&messages, false);
    }
    reset();
}

fn report(name: &str, len: usize, micros: f64, size: Option<f64>) {
    let speed = len as f64 / micros;
    let size = size.map_or(String::new(), |size| format!("{size:.2}"));
    println!("{name:<48}{micros:>10.2}{speed:>10.0}{size:>10}");
}

/// Microseconds of a unit of work that is done `count` times in each round.
fn best(count: usize, mut round: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed().as_secs_f64() * 1e6 / count as f64
    });
    rounds.fold(f64::MAX, f64::min)
}

fn compress(messages: &[Vec<u8>], level: u8, context_takeover: bool) {
    let mut deflater = deflater(level, context_takeover);
    let len = messages[0].len();
    let (mut out, mut total, mut count) = (Vec::new(), 0, 0);
    let micros = best(messages.len(), || {
        for message in messages {
            out.clear();
            deflater.deflate(message, &mut out);
            total += black_box(&out).len();
            count += 1;
        }
    });
    let takeover = if context_takeover {
        "takeover"
    } else {
        "no takeover"
    };
    let size = total as f64 / (count * len) as f64;
    report(
        &format!("compress {len} bytes, level {level}, {takeover}"),
        len,
        micros,
        Some(size),
    );
}

fn deflater(level: u8, context_takeover: bool) -> Deflater {
    let config = Config {
        level,
        ..Config::default()
    };
    Deflater::new(direction(context_takeover), &config)
}

fn direction(context_takeover: bool) -> Direction {
    Direction {
        context_takeover,
        window_bits: 15,
    }
}

fn inflate(messages: &[Vec<u8>], with_pool: bool) {
    let mut deflater = deflater(6, false);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        let (mut payload, mut frame) = (Vec::new(), Vec::new());
        deflater.deflate(message, &mut payload);
        write_compressed_frame(&mut frame, Opcode::Text, &payload, None);
        frames.push(frame);
    }
    let config = ReaderConfig {
        role: Role::Client,
        max_frame_size: 1 << 20,
        max_message_size: 1 << 20,
        max_fragments: 1024,
    };
    let mut reader = MessageReader::with_deflate(config, Some(direction(false)));
    let mut pool = InflaterPool::new();
    let micros = best(messages.len(), || {
        for frame in &mut frames {
            let mut input = if with_pool {
                Input::with_pool(frame, &mut pool)
            } else {
                Input::new(frame)
            };
            while let Ok(Some(event)) = reader.read(&mut input) {
                black_box(event);
            }
        }
    });
    let (len, pool) = (messages[0].len(), if with_pool { "with" } else { "without" });
    report(
        &format!("read {len} compressed bytes, {pool} pool"),
        len,
        micros,
        None,
    );
}

/// What a message costs that has nothing to compress: the reset, for the greater part.
fn reset() {
    for (name, context_takeover) in [("with reset", false), ("without", true)] {
        let mut deflater = deflater(1, context_takeover);
        let mut out = Vec::new();
        let micros = best(1000, || {
            for byte in 0..1000_u32 {
                out.clear();
                deflater.deflate(&byte.to_le_bytes(), &mut out);
                black_box(&out);
            }
        });
        report(&format!("compress 4 bytes, level 1, {name}"), 4, micros, None);
    }
}

fn json(len: usize) -> String {
    const NAMES: [&str; 6] = ["alice", "bob", "charlotte", "dmitri", "grace", "heidi"];
    let mut number = 1_u64;
    let mut text = String::from("[");
    while text.len() < len {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (id, room, price) = (number >> 47, number >> 20 & 63, number >> 30 & 1023);
        let name = NAMES[(number >> 40) as usize % NAMES.len()];
        text += &format!(
            "{{\"id\":{id},\"user\":\"{name}\",\"text\":\"hello from room {room}\",\"price\":{price}}},"
        );
    }
    text.truncate(len);
    text
}
