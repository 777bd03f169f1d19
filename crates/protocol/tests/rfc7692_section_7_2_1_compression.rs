//! RFC 7692 sections 7.1.1, 7.1.2 and 7.2.1: what the compressor makes.
#![allow(clippy::unwrap_used)]

mod support;

use django_bolt_protocol::deflate::{Config, Deflater, Direction};
use flate2::{Decompress, FlushDecompress};
use support::deflate::{deflater, Decoder, NO_TAKEOVER, TAIL, TAKEOVER};
use support::{json, Numbers};

/// Payloads of many kinds: text, noise, runs, and mixtures with repetitions far apart.
fn payload(numbers: &mut Numbers) -> Vec<u8> {
    let len = [0, 1, 5, 100, 1000, 5000, 40_000, 100_000][numbers.below(8)];
    match numbers.below(4) {
        0 => json(numbers, len).into_bytes(),
        1 => numbers.bytes(len),
        2 => vec![b'x'; len],
        _ => far_repetitions(numbers, len),
    }
}

/// Pieces of noise, each of which comes again anywhere later.
fn far_repetitions(numbers: &mut Numbers, len: usize) -> Vec<u8> {
    let mut bytes = numbers.bytes(64);
    while bytes.len() < len {
        if numbers.below(2) == 0 {
            let more = numbers.below(60);
            bytes.extend(numbers.bytes(more));
        } else {
            let from = numbers.below(bytes.len());
            let until = (from + 4 + numbers.below(300)).min(bytes.len());
            bytes.extend_from_within(from..until);
        }
    }
    bytes.truncate(len);
    bytes
}

fn deflate(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    deflater.deflate(payload, &mut out);
    out.strip_prefix(b"before").unwrap().to_vec()
}

/// Inflate by another implementation, which keeps its window.
fn inflate(state: &mut Decompress, deflated: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 1);
    let input = [deflated, &TAIL].concat();
    let before = state.total_in();
    state
        .decompress_vec(&input, &mut out, FlushDecompress::Sync)
        .unwrap();
    assert_eq!(state.total_in() - before, input.len() as u64);
    out
}

#[test]
fn section_7_2_1_another_implementation_reads_what_is_written() {
    let mut numbers = Numbers::new(721);
    for level in 1..=9 {
        for direction in [NO_TAKEOVER, TAKEOVER] {
            let mut deflater = deflater(direction, level);
            let mut state = Decompress::new(false);
            for _ in 0..12 {
                let payload = payload(&mut numbers);
                let deflated = deflate(&mut deflater, &payload);
                assert!(!deflated.ends_with(&TAIL));
                if !direction.context_takeover {
                    state.reset(false);
                }
                let inflated = inflate(&mut state, &deflated, payload.len());
                assert!(inflated == payload, "level {level}, {} bytes", payload.len());
            }
        }
    }
}

#[test]
fn section_7_1_2_no_match_reaches_back_further_than_the_window() {
    let mut numbers = Numbers::new(712);
    for level in [1, 2, 3, 6, 9] {
        for window_bits in 8..=15 {
            let direction = Direction {
                context_takeover: true,
                window_bits,
            };
            let mut deflater = deflater(direction, level);
            let mut decoder = Decoder::default();
            for len in [60_000, 300, 60_000] {
                let payload = far_repetitions(&mut numbers, len);
                let decoded = decoder.message(&deflate(&mut deflater, &payload));
                assert!(decoded == Some(payload), "level {level}, {window_bits} bits");
            }
            let window = 1 << window_bits;
            assert!(
                decoder.reach <= window,
                "level {level}: {} of {window}",
                decoder.reach
            );
            assert!(
                decoder.reach > window / 3,
                "level {level}: {} of {window}",
                decoder.reach
            );
        }
    }
}

#[test]
fn section_7_1_1_without_context_takeover_every_message_stands_alone() {
    let mut numbers = Numbers::new(711);
    let message = json(&mut numbers, 2000).into_bytes();
    for level in 1..=9 {
        let mut forgetful = deflater(NO_TAKEOVER, level);
        let first = deflate(&mut forgetful, &message);
        for _ in 0..3 {
            assert_eq!(deflate(&mut forgetful, &message), first);
            assert_eq!(deflate(&mut deflater(NO_TAKEOVER, level), &message), first);
            deflate(&mut forgetful, b"");
        }
        let mut mindful = deflater(TAKEOVER, level);
        assert_eq!(deflate(&mut mindful, &message), first);
        let second = deflate(&mut mindful, &message);
        assert!(
            second.len() * 5 < first.len(),
            "level {level}: {} bytes",
            second.len()
        );
    }
}

#[test]
fn section_7_2_1_a_message_may_be_compressed_piece_by_piece() {
    let mut numbers = Numbers::new(7210);
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let mut decoder = Decoder::default();
        let mut deflater = deflater(direction, 3);
        for round in 0..30 {
            let payload = payload(&mut numbers);
            let mut out = Vec::new();
            if round % 3 == 0 {
                deflater.deflate(&payload, &mut out);
            } else {
                let most = [1000, 30_000][numbers.below(2)];
                let mut deflation = deflater.begin();
                let mut rest = payload.as_slice();
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(numbers.below(most).min(rest.len()));
                    deflation.push(piece, &mut out);
                    if numbers.below(3) == 0 {
                        deflation.flush(&mut out);
                    }
                    rest = after;
                }
                deflater = deflation.finish(&mut out);
            }
            assert!(decoder.message(&out) == Some(payload), "round {round}");
        }
    }
}

#[test]
fn section_7_2_1_pieces_may_become_fragments() {
    let mut numbers = Numbers::new(7211);
    let payload = json(&mut numbers, 300_000).into_bytes();
    let mut deflation = deflater(NO_TAKEOVER, 6).begin();
    let mut fragments = Vec::new();
    for piece in payload.chunks(10_000) {
        let mut out = Vec::new();
        deflation.push(piece, &mut out);
        fragments.push(out);
    }
    let mut last = Vec::new();
    let mut deflater = deflation.finish(&mut last);
    fragments.push(last);
    assert!(fragments.iter().filter(|fragment| !fragment.is_empty()).count() > 1);
    assert!(Decoder::default().message(&fragments.concat()) == Some(payload));
    assert_eq!(
        deflate(&mut deflater, b"Hello"),
        [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
    );
}

#[test]
fn section_7_2_1_a_flush_shows_how_small_the_pieces_got() {
    let mut numbers = Numbers::new(7212);
    let (text, noise) = (json(&mut numbers, 50_000).into_bytes(), numbers.bytes(50_000));
    for (payload, is_smaller) in [(text, true), (noise, false)] {
        let mut out = Vec::new();
        let mut deflation = deflater(NO_TAKEOVER, 9).begin();
        deflation.push(&payload, &mut out);
        deflation.flush(&mut out);
        assert_eq!(out.len() < payload.len(), is_smaller);
        let flushed = out.len();
        deflation.flush(&mut out);
        assert_eq!(out.len(), flushed, "there was nothing left to flush");
        let _ = deflation.finish(&mut out);
        assert!(Decoder::default().message(&out) == Some(payload));
    }
}

#[test]
fn section_7_2_1_an_empty_message_in_pieces_is_an_empty_block() {
    let mut deflater = deflater(TAKEOVER, 1);
    for _ in 0..3 {
        let mut out = Vec::new();
        let mut deflation = deflater.begin();
        deflation.push(b"", &mut out);
        deflater = deflation.finish(&mut out);
        assert_eq!(out, [0x00]);
        deflate(&mut deflater, b"between");
    }
}

#[test]
fn what_does_not_get_smaller_is_left_alone_without_context_takeover() {
    let mut numbers = Numbers::new(1);
    let (noise, text) = (numbers.bytes(5000), json(&mut numbers, 5000).into_bytes());
    let mut forgetful = deflater(NO_TAKEOVER, 1);
    let mut out = b"before".to_vec();
    for _ in 0..3 {
        for payload in [&noise[..], b"Hello", b""] {
            assert!(!forgetful.compress(payload, &mut out));
            assert_eq!(out, b"before");
        }
        assert!(forgetful.compress(&text, &mut out));
        assert!(Decoder::default().message(&out[6..]) == Some(text.clone()));
        out.truncate(6);
    }

    let mut mindful = deflater(TAKEOVER, 1);
    let mut decoder = Decoder::default();
    for payload in [&noise, &text, &noise, &Vec::new(), &noise] {
        out.clear();
        assert!(
            mindful.compress(payload, &mut out),
            "what follows may refer to it"
        );
        assert!(decoder.message(&out).as_ref() == Some(payload));
    }
    assert!(out.len() < 500, "noise that came before");
}

#[test]
fn levels_and_memory_levels_have_their_effect() {
    let mut numbers = Numbers::new(2);
    let text = json(&mut numbers, 200_000).into_bytes();
    let size = |level, memory_level| {
        let config = Config {
            level,
            memory_level,
            ..Config::default()
        };
        deflate(&mut Deflater::new(NO_TAKEOVER, &config), &text).len()
    };
    assert!(size(1, 8) > size(2, 8));
    assert!(size(2, 8) > size(6, 8));
    assert!(size(6, 8) > size(9, 8));
    assert_ne!(size(6, 1), size(6, 8));
    assert_eq!(
        size(0, 0),
        size(1, 1),
        "values out of range are the nearest that is in it"
    );
    assert_eq!(size(200, 200), size(9, 9));
}

#[test]
fn compressors_move_between_threads() {
    fn is_send<T: Send>(_: &T) -> bool {
        true
    }
    assert!(is_send(&deflater(TAKEOVER, 1)));
    assert!(is_send(&support::deflate::deflate_reader(
        django_bolt_protocol::Role::Server,
        TAKEOVER
    )));
    assert!(is_send(&django_bolt_protocol::deflate::InflaterPool::new()));
}
