//! Any bytes, by a reader of either role, with and without compression: it does not panic, holds no more than its
//! limits, and makes the same of the stream however it is cut.
#![no_main]

use django_bolt_fuzz::{read_in_every_way, reader_config, Choices};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (config, deflate) = reader_config(&mut choices);
    let cuts = choices.take(8);
    read_in_every_way(choices.rest(), cuts, config, deflate);
});
