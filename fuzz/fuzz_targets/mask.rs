//! Any secrets in any output, cut into reads at any places: the same as in one piece, no byte of any
//! form of a secret is left, and what is no secret stays as it was. Secrets come before and amid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_recorder::mask::{MASK, Masker};

fuzz_target!(|data: &[u8]| {
    let Some(([count, first, second, late], rest)) = data.split_first_chunk() else { return };
    let part = |rest: &mut &[u8], size: usize| -> Vec<u8> {
        let (part, after) = rest.split_at((*rest).len().min(size));
        *rest = after;
        part.to_vec()
    };
    let mut rest = rest;
    let sizes = part(&mut rest, usize::from(*count % 16));
    let secrets =
        [part(&mut rest, usize::from(*first % 48)), part(&mut rest, usize::from(*second % 24))];
    let added = part(&mut rest, usize::from(*late % 24));
    let output = rest;

    let mut masker = Masker::new(secrets.clone());
    let (mut out, mut at) = (Vec::new(), 0);
    for size in &sizes {
        let end = (at + usize::from(*size)).min(output.len());
        out.extend_from_slice(masker.push(&output[at..end]));
        at = end;
    }
    let forms = masker.secrets().forms();
    // From here on one more counts, in what is held back as well.
    let since = at - masker.held();
    masker.add(&added);
    let more = Masker::new([added]).secrets().forms();
    out.extend_from_slice(masker.push(&output[at..]));
    out.extend_from_slice(masker.finish());
    assert_eq!(masker.held(), 0);

    // Tries every form at every byte.
    let (mut expected, mut hidden) = (Vec::new(), 0);
    for at in 0..output.len() {
        let here = |form: &&Vec<u8>| output[at..].starts_with(form);
        let early = forms.iter().filter(here).map(Vec::len).max();
        let late = more.iter().filter(|form| at >= since && here(form)).map(Vec::len).max();
        if let Some(length) = early.max(late) {
            if at >= hidden {
                expected.extend_from_slice(MASK);
            }
            hidden = hidden.max(at + length);
        }
        if at >= hidden {
            expected.push(output[at]);
        }
    }
    assert_eq!(out, expected);
});
