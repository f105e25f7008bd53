//! The forms in which a secret is known again: pure, each a list of byte strings.
//!
//! The encodings that matter work byte for byte (but for base64), so the form of a value is found
//! inside of the form of whatever contains it. Quotes around it are not part of a form.
//! `docs/reference/masking.md` is the list for people.

mod base64; // three alignments, both alphabets, and as it is wrapped
mod text; // JSON, XML, URL, shell: what is put in the place of single bytes

use super::{SECRET_BYTES_MIN, automaton::PATTERN_BYTES_MIN};

/// `xxd -p` begins a line after as many.
const HEX_COLUMNS: usize = 60;

/// The value, as it is and as lines and white space change on the way: with CR LF, with LF, with
/// white space collapsed as a shell does, without that around it, and each long line of several.
pub(super) fn plain(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec(), value.trim_ascii().to_vec()];
    if value.trim_ascii().contains(&b'\n') {
        forms.extend(value.split(|byte| *byte == b'\n').map(|line| line.trim_ascii().to_vec()));
        let bare = without_returns(value);
        // A terminal shows `\n` as `\r\n`.
        for whole in [&bare[..], bare.trim_ascii()] {
            forms.push(whole.to_vec());
            forms.push(text::with_returns(whole));
        }
    }
    forms.push(collapsed(value));
    long_enough(forms)
}

/// The value as usual encodings write it.
pub(super) fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    // What surrounds it in white space is encoded on its own, and no secret.
    let core = value.trim_ascii();
    let core = if core.len() < SECRET_BYTES_MIN { value } else { core };
    let mut forms = Vec::new();
    base64::forms(core, &mut forms);
    hex(core, &mut forms);
    text::forms(core, &mut forms);
    long_enough(forms)
}

fn long_enough(mut forms: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // Blank ones would hide indentation.
    forms.retain(|form| form.len() >= PATTERN_BYTES_MIN && !form.trim_ascii().is_empty());
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn hex(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    const LOWER: &[u8; 16] = b"0123456789abcdef";
    const UPPER: &[u8; 16] = b"0123456789ABCDEF";
    for digits in [LOWER, UPPER] {
        let digit = |nibble: u8| digits[usize::from(nibble)];
        let whole: Vec<u8> =
            value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        wrapped(&whole, &[], HEX_COLUMNS, forms);
        forms.push(whole);
    }
}

/// The pieces of `text` as lines of `columns`, and the last of them, which may be short, together
/// with the one before; also with each of `ends` after it.
fn wrapped(text: &[u8], ends: &[Vec<u8>], columns: usize, forms: &mut Vec<Vec<u8>>) {
    let lines: Vec<&[u8]> = text.chunks(columns).collect();
    let [whole @ .., last] = &lines[..] else { return };
    let Some(before) = whole.last() else { return };
    forms.extend(whole.iter().map(|line| line.to_vec()));
    for line_end in [&b"\n"[..], b"\r\n"] {
        let two = [*before, line_end, *last].concat();
        forms.extend(ends.iter().map(|end| [&two[..], &end[..]].concat()));
        forms.push(two);
    }
}

fn without_returns(value: &[u8]) -> Vec<u8> {
    let mut bare = Vec::with_capacity(value.len());
    for (at, byte) in value.iter().enumerate() {
        if *byte != b'\r' || value.get(at + 1) != Some(&b'\n') {
            bare.push(*byte);
        }
    }
    bare
}

/// As a shell passes on what stands in no quotes.
fn collapsed(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> =
        value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}
