//! `bolt-micro CASE COUNT`: one operation of the protocol crate, over and over, for `instructions.py` to count.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;

use django_bolt_protocol::deflate::{write_compressed_frame, Config, Deflater, Direction, InflaterPool};
use django_bolt_protocol::{
    accept_key, apply_mask, write_frame, Input, MessageReader, Opcode, ReaderConfig, Role,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const DIRECTION: Direction = Direction {
    context_takeover: false,
    window_bits: 15,
};
const SMALL: usize = 32;
const LARGE: usize = 65_536;

/// Reads `count` copies of a message from a client, each from a fresh copy of its bytes.
fn parse(len: usize, count: usize) {
    let mut frame = Vec::new();
    write_frame(&mut frame, Opcode::Text, &text(len), Some(KEY));
    read(&frame, count, None);
}

/// The same of a compressed message.
fn inflate(len: usize, count: usize) {
    let (mut deflated, mut frame) = (Vec::new(), Vec::new());
    Deflater::new(DIRECTION, &Config::default()).deflate(&text(len), &mut deflated);
    write_compressed_frame(&mut frame, Opcode::Text, &deflated, Some(KEY));
    read(&frame, count, Some(DIRECTION));
}

fn read(frame: &[u8], count: usize, deflate: Option<Direction>) {
    let config = ReaderConfig {
        role: Role::Server,
        max_frame_size: 1 << 20,
        max_message_size: 1 << 20,
        max_fragments: 1024,
    };
    let mut reader = MessageReader::with_deflate(config, deflate);
    let mut pool = InflaterPool::new();
    let mut bytes = frame.to_vec();
    for _ in 0..count {
        bytes.copy_from_slice(frame);
        let mut input = Input::with_pool(&mut bytes, &mut pool);
        while let Ok(Some(event)) = reader.read(&mut input) {
            black_box(event);
        }
    }
}

fn mask(len: usize, count: usize) {
    let mut payload = text(len);
    for _ in 0..count {
        apply_mask(black_box(&mut payload), KEY, 0);
    }
}

fn encode(len: usize, count: usize) {
    let (payload, mut out) = (text(len), Vec::with_capacity(len + 16));
    for _ in 0..count {
        out.clear();
        write_frame(&mut out, Opcode::Text, black_box(&payload), None);
        black_box(&out);
    }
}

fn deflate(len: usize, count: usize) {
    let mut deflater = Deflater::new(DIRECTION, &Config::default());
    let (payload, mut out) = (text(len), Vec::new());
    for _ in 0..count {
        out.clear();
        deflater.deflate(black_box(&payload), &mut out);
        black_box(&out);
    }
}

fn handshake(count: usize) {
    for _ in 0..count {
        black_box(accept_key(black_box("dGhlIHNhbXBsZSBub25jZQ==")));
    }
}

fn text(len: usize) -> Vec<u8> {
    b"the room is full of people tonight, and "
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

fn run(case: &str, count: usize) -> bool {
    match case {
        "parse-32" => parse(SMALL, count),
        "parse-64k" => parse(LARGE, count),
        "mask-32" => mask(SMALL, count),
        "mask-64k" => mask(LARGE, count),
        "encode-32" => encode(SMALL, count),
        "encode-64k" => encode(LARGE, count),
        "inflate-1k" => inflate(1024, count),
        "deflate-1k" => deflate(1024, count),
        "accept-key" => handshake(count),
        _ => return false,
    }
    true
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, count] = arguments.as_slice() else {
        eprintln!("usage: bolt-micro CASE COUNT");
        return ExitCode::FAILURE;
    };
    if count.parse().is_ok_and(|count| run(case, count)) {
        ExitCode::SUCCESS
    } else {
        eprintln!("no such case or count: {case} {count}");
        ExitCode::FAILURE
    }
}
