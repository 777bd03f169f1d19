//! UTF-8 in pieces: as the standard library has it whole, and refused at the first byte that rules out any text.
#![no_main]

use django_bolt_fuzz::Choices;
use django_bolt_protocol::utf8::Utf8Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let cuts = choices.take(4);
    let bytes = choices.rest();
    let mut decoder = Utf8Decoder::default();
    let mut text = String::new();
    let (mut end, mut at) = (0, 0);
    while end < bytes.len() {
        let len = cuts.get(at % 4).map_or(1, |len| usize::from(*len)).max(1);
        let start = end;
        end = (end + len).min(bytes.len());
        at += 1;
        let pushed = decoder.push(&bytes[start..end], &mut text);
        let (valid, hopeless) = match std::str::from_utf8(&bytes[..end]) {
            Ok(_) => (end, false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        assert_eq!(pushed.is_err(), hopeless, "{:02x?}", &bytes[..end]);
        if hopeless {
            return;
        }
        assert_eq!(text.as_bytes(), &bytes[..valid]);
        assert_eq!(decoder.carried(), end - valid);
        assert_eq!(decoder.is_complete(), valid == end);
    }
});
