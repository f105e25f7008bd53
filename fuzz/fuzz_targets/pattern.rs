//! Any pattern on any line: no panic; what is found lies within the line, in order, at characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_view::{Pattern, Syntax};

fuzz_target!(|input: (&str, &str, bool, bool)| {
    let (text, line, regex, case) = input;
    let line = line.lines().next().unwrap_or_default();
    let Ok(pattern) = Pattern::new(text, Syntax { regex, case }) else { return };
    let places = pattern.places(line);
    assert_eq!(pattern.is_in(line), !places.is_empty());
    let mut last = 0;
    for (from, to) in places {
        assert!(last <= from && from <= to && to <= line.len());
        assert!(line.is_char_boundary(from) && line.is_char_boundary(to));
        last = to;
    }
});
