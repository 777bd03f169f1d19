//! RFC 6455 section 5.3: masking.

mod support;

use django_bolt_protocol::apply_mask;
use support::Numbers;

/// The algorithm as section 5.3 writes it.
fn mask_by_the_letter(payload: &mut [u8], key: [u8; 4], offset: usize) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[(offset + i) % 4];
    }
}

#[test]
fn section_5_3_every_length_and_offset_is_masked_as_by_the_letter() {
    let mut numbers = Numbers::new(53);
    for len in 0..200 {
        for offset in 0..8 {
            let key = (numbers.next() as u32).to_ne_bytes();
            let payload = numbers.bytes(len);
            let (mut expected, mut masked) = (payload.clone(), payload.clone());
            mask_by_the_letter(&mut expected, key, offset);
            apply_mask(&mut masked, key, offset);
            assert_eq!(masked, expected, "{len} bytes from {offset}");
            apply_mask(&mut masked, key, offset);
            assert_eq!(masked, payload, "masking twice undoes it");
        }
    }
}

#[test]
fn section_5_3_unaligned_pieces_are_masked_as_the_whole() {
    let mut numbers = Numbers::new(1);
    let mut whole = numbers.bytes(4096);
    let mut pieces = whole.clone();
    apply_mask(&mut whole, support::KEY, 0);
    let mut done = 0;
    while done < pieces.len() {
        let end = (done + numbers.below(99)).min(pieces.len());
        apply_mask(&mut pieces[done..end], support::KEY, done);
        done = end;
    }
    assert_eq!(pieces, whole);
}
