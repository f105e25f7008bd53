//! Any bytes as filters of a compressed log: no panic, and what is read is in order. Any text in a
//! filter: nothing that it holds is denied.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_record::{FilterGroup, Grams, grams};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (bytes, text) = input;
    if let Some(group) = FilterGroup::decode(bytes.to_vec()) {
        assert!(!group.is_empty() && group.bytes() == bytes.len());
        let mut last = None;
        for block in 0..group.len() {
            let start = group.start(block);
            assert!(last.is_none_or(|last: (u64, u64)| last.0 < start.0 && last.1 < start.1));
            last = Some(start);
            for gram in grams(text) {
                group.may_hold(block, gram);
            }
        }
    }
    thread_local!(static GRAMS: std::cell::RefCell<Grams> = std::cell::RefCell::default());
    let filter = GRAMS.with_borrow_mut(|gathered| {
        gathered.add(text);
        gathered.take(1 << 20)
    });
    assert!(grams(text).all(|gram| filter.may_hold(gram)));
});
