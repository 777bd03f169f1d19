//! Frames that are right, now and then followed by bytes that are not, so that what lies behind a header is reached
//! often. What is right must come back as it was sent.
#![no_main]

use django_bolt_fuzz::{read_in_every_way, Choices, Owned};
use django_bolt_protocol::{apply_mask, write_header, Opcode, ReaderConfig, Role};
use libfuzzer_sys::fuzz_target;

/// A stream, and what a reader must make of it.
struct Stream {
    role: Role,
    bytes: Vec<u8>,
    events: Vec<Owned>,
    /// The message whose fragments are being sent.
    message: Option<(Opcode, Vec<u8>)>,
    /// Something is wrong from here on.
    is_broken: bool,
}

impl Stream {
    fn add(&mut self, choices: &mut Choices<'_>) {
        let (kind, len) = (choices.byte(), usize::from(choices.byte()));
        // Now and then a length of 16 or 64 bits.
        let repeat = [1, 1, 1, 3, 300][usize::from(kind >> 4) % 5];
        let payload = choices.take(len).repeat(repeat);
        let fin = kind & 8 == 0;
        match kind & 7 {
            0..=2 => self.add_data(fin, Opcode::Text, &payload),
            3 => self.add_data(fin, Opcode::Binary, &payload),
            4 => self.add_control(Opcode::Ping, &payload[..payload.len().min(125)]),
            5 => self.add_control(Opcode::Pong, &payload[..payload.len().min(125)]),
            6 => {}
            _ => {
                self.bytes.extend_from_slice(&payload);
                self.is_broken |= !payload.is_empty();
            }
        }
    }

    fn add_data(&mut self, fin: bool, opcode: Opcode, payload: &[u8]) {
        let on_the_wire = if self.message.is_some() {
            Opcode::Continuation
        } else {
            opcode
        };
        self.add_frame(fin, on_the_wire, payload);
        let (opcode, mut content) = self.message.take().unwrap_or((opcode, Vec::new()));
        content.extend_from_slice(payload);
        if !fin {
            // What cannot become text is an error before the message ends.
            let cut = opcode == Opcode::Text && is_hopeless(&content);
            self.is_broken |= cut;
            self.message = Some((opcode, content));
        } else if opcode == Opcode::Binary {
            self.expect(Owned::Binary(content));
        } else {
            match String::from_utf8(content) {
                Ok(text) => self.expect(Owned::Text(text)),
                Err(_) => self.is_broken = true,
            }
        }
    }

    fn add_control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.add_frame(true, opcode, payload);
        let payload = payload.to_vec();
        self.expect(if opcode == Opcode::Ping {
            Owned::Ping(payload)
        } else {
            Owned::Pong(payload)
        });
    }

    fn expect(&mut self, event: Owned) {
        if !self.is_broken {
            self.events.push(event);
        }
    }

    fn add_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8]) {
        let key = [0x37, 0xfa, payload.len() as u8, 0x3d];
        let key = (self.role == Role::Server).then_some(key);
        write_header(&mut self.bytes, fin, false, opcode, payload.len(), key);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        if let Some(key) = key {
            apply_mask(&mut self.bytes[start..], key, 0);
        }
    }
}

/// Whether no text begins with these bytes.
fn is_hopeless(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let role = choices.one_of(&[Role::Server, Role::Client]);
    let cuts = choices.take(4);
    let mut stream = Stream {
        role,
        bytes: Vec::new(),
        events: Vec::new(),
        message: None,
        is_broken: false,
    };
    while !choices.is_empty() {
        stream.add(&mut choices);
    }
    let config = ReaderConfig {
        role,
        max_frame_size: 1 << 20,
        max_message_size: 1 << 20,
        max_fragments: 1 << 20,
    };
    if stream.bytes.len() > 1 << 20 {
        return;
    }
    let (events, error) = read_in_every_way(&stream.bytes, cuts, config, None);
    if stream.is_broken {
        assert!(events.starts_with(&stream.events));
    } else {
        assert_eq!((events, error), (stream.events, None));
    }
});
