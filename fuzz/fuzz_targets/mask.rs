//! Any secrets in any output, cut into reads at any places: the same as in one piece, no secret is left,
//! and what is no secret stays as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_recorder::mask::{MASK, Masker};

fuzz_target!(|data: &[u8]| {
    let Some(([count, size], rest)) = data.split_first_chunk() else { return };
    let (sizes, rest) = rest.split_at(rest.len().min(usize::from(*count % 16)));
    let (secret, output) = rest.split_at(rest.len().min(usize::from(*size % 24)));
    let masked = |sizes: &[u8]| {
        let mut masker = Masker::new([secret.to_vec()]);
        let mut out = Vec::new();
        let mut at = 0;
        for size in sizes.iter().map(|size| usize::from(*size)).chain([output.len()]) {
            let end = (at + size).min(output.len());
            out.extend_from_slice(masker.push(&output[at..end]));
            at = end;
        }
        out.extend_from_slice(masker.finish());
        out
    };
    let whole = masked(&[]);
    assert_eq!(masked(sizes), whole);
    if secret.contains(&b'\n') {
        // Its lines, and what a terminal makes of it, are masked as well.
    } else if Masker::is_too_short(secret) {
        assert_eq!(whole, output);
    } else if !secret.contains(&b'*') && secret == secret.trim_ascii() {
        // With an asterisk, a mask and what stands beside it may look like the secret again; one in
        // white space is masked without it as well.
        assert!(!whole.windows(secret.len()).any(|part| part == secret));
        let parts: Vec<&[u8]> = split(output, secret);
        assert_eq!(whole, parts.join(MASK));
    }
});

fn split<'a>(mut text: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = text.windows(by.len()).position(|part| part == by) {
        parts.push(&text[..at]);
        text = &text[at + by.len()..];
    }
    parts.push(text);
    parts
}
