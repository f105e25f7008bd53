//! Base64: four characters for three bytes, so what a value looks like depends on where it begins.

use super::wrapped;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `base64` begins a line after as many characters.
const COLUMNS: usize = 76;
/// `openssl base64` and PEM do.
const COLUMNS_OF_PEM: usize = 64;

/// What can be told of `value` in base64, whatever stands before and behind: the characters that
/// are made of its bits alone; at the end of the text also the last one, and the padding.
pub(super) fn forms(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    for alphabet in [STANDARD, FOR_URLS] {
        for before in 0..3 {
            let (sure, ends) = encode(value, before, alphabet);
            forms.extend(ends.iter().map(|end| [&sure[..], &end[..]].concat()));
            if before == 0 {
                for columns in [COLUMNS, COLUMNS_OF_PEM] {
                    wrapped(&sure, &ends, columns, forms);
                }
            }
            forms.push(sure);
        }
    }
}

/// `value` after `before` other bytes: the characters that depend on nothing else, and what may
/// follow them where the text ends.
fn encode(value: &[u8], before: usize, alphabet: &[u8; 64]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bits = (before + value.len()) * 8;
    let byte = |at: usize| at.checked_sub(before).and_then(|at| value.get(at)).copied();
    let character = |number: usize| {
        let (at, shift) = (number * 6 / 8, number * 6 % 8);
        let two = u16::from_be_bytes([byte(at).unwrap_or(0), byte(at + 1).unwrap_or(0)]);
        alphabet[usize::from(two << shift >> 10)]
    };
    let (from, to) = ((before * 8).div_ceil(6), bits / 6);
    let sure = (from..to).map(character).collect();
    let mut ends = Vec::new();
    if !bits.is_multiple_of(6) {
        let last = character(to);
        let padding = vec![b'='; 3 - (before + value.len()) % 3];
        ends.push(vec![last]);
        ends.push([&[last], &padding[..]].concat());
    }
    (sure, ends)
}
