//! What the fuzz targets share: inputs taken apart, and a reader that is driven in any way a caller may.

use django_bolt_protocol::deflate::{Direction, InflaterPool};
use django_bolt_protocol::{Event, Input, MessageReader, ProtocolError, ReaderConfig, Role};

/// Bytes of an input that choose what is done with the rest.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'d> {
    data: &'d [u8],
}

impl<'d> Choices<'d> {
    /// Take choices from the beginning of an input.
    pub fn new(data: &'d [u8]) -> Self {
        Self { data }
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else {
            return 0;
        };
        self.data = rest;
        *first
    }

    /// One of the options.
    pub fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[usize::from(self.byte()) % options.len()]
    }

    /// At most so many of the next bytes.
    pub fn take(&mut self, len: usize) -> &'d [u8] {
        let (taken, rest) = self.data.split_at(len.min(self.data.len()));
        self.data = rest;
        taken
    }

    /// Whether all is taken.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// What is left.
    pub fn rest(self) -> &'d [u8] {
        self.data
    }
}

/// An event that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(close) => Self::Close(close.code, close.reason.to_owned()),
        }
    }
}

/// What a reader made of a stream: events, and the error that ended it.
pub type Outcome = (Vec<Owned>, Option<ProtocolError>);

/// A reader under test.
pub struct Subject {
    config: ReaderConfig,
    reader: MessageReader,
    pool: Option<InflaterPool>,
    outcome: Outcome,
}

impl Subject {
    /// Make one, with a pool of inflaters or without.
    pub fn new(config: ReaderConfig, deflate: Option<Direction>, has_pool: bool) -> Self {
        Self {
            config,
            reader: MessageReader::with_deflate(config, deflate),
            pool: has_pool.then(InflaterPool::new),
            outcome: (Vec::new(), None),
        }
    }

    /// Read a piece; after `patience` events, put the rest into another buffer as a paused caller does.
    pub fn read(&mut self, piece: &[u8], patience: usize) {
        let mut rest = piece.to_vec();
        while let Some(later) = self.read_events(&mut rest, patience.max(1)) {
            rest = later;
        }
        if self.outcome.1.is_some() {
            // What the event that was an error borrowed is released by the next call.
            self.read_events(&mut [], 1);
        }
        self.check_memory();
    }

    /// Read up to so many events; what is left then, or None if all is consumed.
    fn read_events(&mut self, bytes: &mut [u8], patience: usize) -> Option<Vec<u8>> {
        let len = bytes.len();
        let had_failed = self.outcome.1.is_some();
        let mut input = match &mut self.pool {
            Some(pool) => Input::with_pool(bytes, pool),
            None => Input::new(bytes),
        };
        for _ in 0..patience {
            match self.reader.read(&mut input) {
                Ok(Some(event)) => {
                    assert!(!had_failed, "nothing comes after an error");
                    self.outcome.0.push(event.into());
                }
                Ok(None) => {
                    assert!(input.is_empty(), "None means that all input is consumed");
                    return None;
                }
                Err(error) => {
                    assert!(self.outcome.1.is_none(), "an error comes once");
                    assert!(input.is_empty(), "an error consumes all input");
                    assert!([1002, 1007, 1009].contains(&error.close_code()));
                    assert!(!error.to_string().is_empty());
                    self.outcome.1 = Some(error);
                    return None;
                }
            }
        }
        let remaining = input.remaining();
        Some(bytes[len - remaining..].to_vec())
    }

    /// What is held stays within the limits: a message, a control frame and a header, none of them whole.
    fn check_memory(&self) {
        let held = self.reader.buffered() as u64;
        assert!(
            held <= self.config.max_message_size + 125 + 14,
            "{held} bytes are held"
        );
        if self.outcome.1.is_some() {
            assert_eq!(held, 0, "nothing is held after an error");
            assert!(!self.reader.holds_inflater());
        }
    }

    /// The outcome, with each message within the limit.
    pub fn finish(self) -> Outcome {
        for event in &self.outcome.0 {
            let len = match event {
                Owned::Text(text) => text.len(),
                Owned::Binary(bytes) => bytes.len(),
                Owned::Ping(payload) | Owned::Pong(payload) => {
                    assert!(payload.len() <= 125);
                    continue;
                }
                Owned::Close(code, reason) => {
                    assert!(reason.len() <= 123);
                    assert!(code.is_some() || reason.is_empty());
                    continue;
                }
            };
            assert!(len as u64 <= self.config.max_message_size);
        }
        self.outcome
    }
}

/// Read a stream at once, and in pieces: the outcome must be the same, and is returned.
///
/// The pieces' lengths come from `cuts`, over and over; without any, each is a byte. Those of a long stream are longer.
pub fn read_in_every_way(
    stream: &[u8],
    cuts: &[u8],
    config: ReaderConfig,
    deflate: Option<Direction>,
) -> Outcome {
    let mut whole = Subject::new(config, deflate, true);
    whole.read(stream, usize::MAX);
    let expected = whole.finish();
    for (cuts, patience, has_pool) in [
        (cuts, usize::MAX, true),
        (cuts, 1, false),
        (&[], usize::MAX, false),
    ] {
        let mut cut = Subject::new(config, deflate, has_pool);
        let (mut rest, mut at) = (stream, 0);
        let unit = 1 + stream.len() / 2048;
        while !rest.is_empty() {
            // An empty piece is a read, too; a whole round of them would be no progress.
            let len = cuts
                .get(at % cuts.len().max(1))
                .map_or(1, |len| usize::from(*len))
                * unit;
            let len = if at % 4 == 3 { len.max(1) } else { len };
            let (piece, after) = rest.split_at(len.min(rest.len()));
            cut.read(piece, patience);
            (rest, at) = (after, at + 1);
        }
        assert_eq!(cut.finish(), expected);
    }
    expected
}

/// A configuration of a reader, its limits small enough to be met.
pub fn reader_config(choices: &mut Choices<'_>) -> (ReaderConfig, Option<Direction>) {
    let role = choices.one_of(&[Role::Server, Role::Client]);
    let config = ReaderConfig {
        role,
        max_frame_size: choices.one_of(&[1 << 20, 1 << 62, 100, 1000, 0]),
        max_message_size: choices.one_of(&[1 << 20, 100, 1000, 70_000, 0]),
        max_fragments: choices.one_of(&[1000, 1, 2, 5, 0]),
    };
    let direction = |context_takeover| Direction {
        context_takeover,
        window_bits: 15,
    };
    let deflate = choices.one_of(&[None, Some(direction(false)), Some(direction(true))]);
    (config, deflate)
}

/// The outcome of asking again with each longer beginning of an input, as it arrives: the first answer that is
/// not "incomplete" must be that to the whole input.
pub fn ask_as_it_arrives<'d, T: PartialEq + std::fmt::Debug>(
    data: &'d [u8],
    step: usize,
    is_incomplete: impl Fn(&T) -> bool,
    ask: impl Fn(&'d [u8]) -> T,
) -> T {
    let whole = ask(data);
    let mut len = 0;
    while len < data.len() {
        let answer = ask(&data[..len]);
        if !is_incomplete(&answer) {
            assert_eq!(answer, whole, "after {len} bytes");
            return whole;
        }
        len += step.max(1);
    }
    whole
}
