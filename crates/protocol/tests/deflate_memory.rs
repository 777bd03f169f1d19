//! What compression takes of memory, measured: the documented figures, and bombs.
//!
//! One test function, as the allocations of others would be counted with it.
#![allow(clippy::unwrap_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use django_bolt_protocol::deflate::{
    deflater_size, Config, Deflater, Direction, InflaterPool, INFLATER_SIZE,
};
use django_bolt_protocol::{Input, MessageReader, ProtocolError, ReaderConfig, Role};
use support::deflate::{deflate_reader, deflated, NO_TAKEOVER, TAIL, TAKEOVER};
use support::{header, masked, KEY};

/// Counts bytes in use, and the most that there were.
struct Counting;

/// Begins high, since what was allocated before counting began may be freed after.
static IN_USE: AtomicUsize = AtomicUsize::new(1 << 30);
static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this is the test's thread: the harness allocates in another at any time.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count(more: usize, less: usize) {
    if !IS_COUNTED.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    IN_USE.fetch_sub(less, Relaxed);
    PEAK.fetch_max(IN_USE.fetch_add(more, Relaxed) + more, Relaxed);
}

// SAFETY: every method passes its arguments on to the system's allocator unchanged; the counters beside it touch
// no memory that is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are in use after the work and were not before.
fn kept<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.load(Relaxed);
    let value = work();
    (IN_USE.load(Relaxed) - before, value)
}

/// Bytes by which use grew at most during the work.
fn grown(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    work();
    PEAK.load(Relaxed) - before
}

#[test]
fn memory_is_as_documented() {
    IS_COUNTED.set(true);
    deflaters_take_what_is_documented();
    inflaters_take_what_is_documented();
    idle_readers_without_context_takeover_hold_nothing();
    a_bomb_grows_nothing_past_the_limit(0x82);
    a_bomb_grows_nothing_past_the_limit(0x81);
    a_bomb_in_small_fragments_grows_nothing_past_the_limit();
}

fn deflaters_take_what_is_documented() {
    for window_bits in 8..=15 {
        for memory_level in 1..=9 {
            let direction = Direction {
                context_takeover: true,
                window_bits,
            };
            let config = Config {
                memory_level,
                ..Config::default()
            };
            let (taken, deflater) = kept(|| Deflater::new(direction, &config));
            let documented = deflater_size(window_bits, memory_level);
            let difference = documented.abs_diff(taken);
            assert!(
                taken <= documented && difference < 1024,
                "{window_bits} bits, memory level {memory_level}: {taken} taken, {documented} documented"
            );
            drop(deflater);
        }
    }
}

fn inflaters_take_what_is_documented() {
    let payload = deflated(b"Hello");
    let frame = masked(0xc1, &payload);
    let mut reader = deflate_reader(Role::Server, TAKEOVER);
    let (taken, ()) = kept(|| read_through(&mut reader, &frame));
    assert!(
        taken <= INFLATER_SIZE && INFLATER_SIZE - taken < 1024,
        "{taken} taken, {INFLATER_SIZE} documented"
    );
}

fn read_through(reader: &mut MessageReader, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    while reader.read(&mut input).unwrap().is_some() {}
}

fn idle_readers_without_context_takeover_hold_nothing() {
    let frame = masked(0xc1, &deflated(&[b'x'; 5000]));
    let mut readers: Vec<_> = (0..100)
        .map(|_| deflate_reader(Role::Server, NO_TAKEOVER))
        .collect();
    let (taken, ()) = kept(|| readers.iter_mut().for_each(|reader| read_through(reader, &frame)));
    assert_eq!(taken, 0);
    let mut pool = InflaterPool::new();
    let (taken, ()) = kept(|| {
        for reader in &mut readers {
            let mut bytes = frame.clone();
            let mut input = Input::with_pool(&mut bytes, &mut pool);
            while reader.read(&mut input).unwrap().is_some() {}
        }
    });
    // One state, and the pool's list.
    assert!(taken <= INFLATER_SIZE + 1024, "{taken}");
}

const LIMIT: usize = 1_000_000;
/// Headroom for the state, one chunk on its way, and the test's own copies of a read.
const SMALL: usize = INFLATER_SIZE + 8192;

fn limited() -> MessageReader {
    let config = ReaderConfig {
        role: Role::Server,
        max_frame_size: 1 << 20,
        max_message_size: LIMIT as u64,
        max_fragments: 4096,
    };
    MessageReader::with_deflate(config, Some(NO_TAKEOVER))
}

/// A gigabyte of zeros in a megabyte: the blocks of a mebibyte, again and again.
fn bomb() -> Vec<u8> {
    let mut mebibyte = deflated(&vec![0; 1 << 20]);
    mebibyte.extend_from_slice(&TAIL);
    let mut bomb = mebibyte.repeat(1024);
    bomb.truncate(bomb.len() - TAIL.len());
    bomb
}

fn a_bomb_grows_nothing_past_the_limit(first: u8) {
    let bomb = bomb();
    assert!(bomb.len() < 1_100_000, "{}", bomb.len());
    let mut frame = masked(first | 0x40, &bomb);
    let mut reader = limited();
    let mut input = Input::new(&mut frame);
    let grown = grown(|| {
        let error = reader.read(&mut input).unwrap_err();
        assert_eq!(error, ProtocolError::InflatedTooBig { limit: LIMIT as u64 });
    });
    assert!(grown <= LIMIT + SMALL, "{grown}");
    assert_eq!((reader.buffered(), reader.holds_inflater()), (0, false));
}

fn a_bomb_in_small_fragments_grows_nothing_past_the_limit() {
    let bomb = bomb();
    let mut reader = limited();
    let mut sent = 0;
    let grown = grown(|| {
        for (at, piece) in bomb.chunks(300).enumerate() {
            let first = if at == 0 { 0x42 } else { 0x00 };
            let mut frame = header(first, 0x80, piece.len() as u64);
            frame.extend_from_slice(&KEY);
            let start = frame.len();
            frame.extend_from_slice(piece);
            django_bolt_protocol::apply_mask(&mut frame[start..], KEY, 0);
            sent += 1;
            let result = reader
                .read(&mut Input::new(&mut frame))
                .map(|event| event.is_some());
            assert!(reader.buffered() <= LIMIT);
            if result != Ok(false) {
                assert_eq!(result, Err(ProtocolError::InflatedTooBig { limit: LIMIT as u64 }));
                return;
            }
        }
    });
    assert!(sent > 1 && sent < 10, "{sent} of {} fragments", bomb.len() / 300);
    assert!(grown <= LIMIT + SMALL, "{grown}");
}
