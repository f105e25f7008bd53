//! Any bytes, cut into reads at any places: no panic, and the same markers as in one piece
//! and as line by line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_markers::{Found, Scanner, parse};

// The first byte says how many of the next bytes are the sizes of the reads.
fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let (sizes, output) = rest.split_at(rest.len().min(usize::from(*count % 32)));
    let whole = scan(output, &[]);
    assert_eq!(scan(output, sizes), whole);
    assert_eq!(read_by_lines(output), whole);
    let mut last = 0;
    for found in whole {
        assert!(last <= found.start && found.start < found.end && found.end <= output.len() as u64);
        last = found.end;
    }
});

fn scan(output: &[u8], sizes: &[u8]) -> Vec<Found> {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    let mut at = 0;
    for size in sizes.iter().map(|size| usize::from(*size)).chain([output.len()]) {
        let end = (at + size).min(output.len());
        scanner.push(&output[at..end], at as u64, &mut |f| found.push(f));
        at = end;
    }
    scanner.finish(&mut |f| found.push(f));
    found
}

fn read_by_lines(output: &[u8]) -> Vec<Found> {
    let mut end = 0;
    let mut found = Vec::new();
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        let start = end;
        end += line.len() as u64;
        if let Some(outcome) = parse(line.strip_suffix(b"\n").unwrap_or(line)).transpose() {
            found.push(Found { outcome, start, end });
        }
    }
    found
}
