//! Any bytes, cut into reads at any places: no panic, and the same markers as in one piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_markers::{Found, Scanner};

// The first byte says how many of the next bytes are the sizes of the reads.
fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let (sizes, output) = rest.split_at(rest.len().min(usize::from(*count % 32)));
    let whole = scan(output, &[]);
    assert_eq!(scan(output, sizes), whole);
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
