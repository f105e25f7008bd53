//! Any bytes as a log of lines whose styles go on: no panic, no control character comes through, and a
//! line that is reached by a jump looks as it does by scrolling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_view::{LOOKED_BYTES, Source, Style, draw};

fuzz_target!(|data: &[u8]| {
    let mut style = Style::default();
    for line in data.split(|byte| *byte == b'\n') {
        let line = &line[..line.len().min(LOOKED_BYTES)];
        let kept = style.encode();
        let drawn = draw(Source::Whole(line), &mut style);
        assert!(drawn.text.chars().all(|char| !char.is_control()), "{:?}", drawn.text);
        let mut jumped = Style::decode(kept).expect("what was encoded");
        let again = draw(Source::Whole(line), &mut jumped);
        assert_eq!((again.text, jumped), (drawn.text, style));
    }
});
