//! Any bytes as a line: no panic; what is shown holds no control character but those of its own
//! styles and links; the width is that of what is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_view::{LOOKED_BYTES, SHOWN_COLUMNS, Source, Style, columns, draw, verdict};

fuzz_target!(|line: &[u8]| {
    let line = &line[..line.len().min(LOOKED_BYTES)];
    let mut style = Style::default();
    let drawn = draw(Source::Whole(line), &mut style);
    verdict(&drawn.text);
    assert!(drawn.text.chars().all(|char| !char.is_control()));
    let width: usize = drawn.text.chars().map(columns).sum();
    let last = drawn.text.chars().rev().map(columns).find(|columns| *columns > 0).unwrap_or(1);
    if width < SHOWN_COLUMNS {
        assert_eq!(drawn.width as usize, width - (last - 1));
    }
    assert_eq!(Style::decode(style.encode()), Some(style));
});
