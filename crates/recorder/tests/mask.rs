//! Masking against independent oracles: what other programs make of a secret, and a search that
//! tries every form at every byte.
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use proptest::{prelude::*, sample::Index};
use serde::Deserialize;
use stepflow_recorder::mask::{Added, MASK, Masker, Secrets};

#[derive(Deserialize)]
struct Row {
    secret: String,
    forms: Vec<(String, String)>,
    wrapped: Vec<(String, String)>,
}

/// Forms by name.
type Forms = Vec<(String, Vec<u8>)>;

/// Secrets, their forms, and forms inside of something. Made by `mask-forms.py` from what other
/// programs print.
fn table() -> Vec<(Vec<u8>, Forms, Forms)> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("mask-forms.json")).unwrap();
    let unpack = |text: &str| STANDARD.decode(text).unwrap();
    let all = |forms: &[(String, String)]| {
        forms.iter().map(|(name, form)| (name.clone(), unpack(form))).collect()
    };
    rows.iter().map(|row| (unpack(&row.secret), all(&row.forms), all(&row.wrapped))).collect()
}

fn shown(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[test]
fn what_other_programs_make_of_a_secret_is_masked() {
    let mut count = 0;
    for (secret, forms, _) in table() {
        let masker = Masker::new([secret.clone()]);
        for (name, form) in forms {
            let text = [b"<", &form[..], b">"].concat();
            let masked = masker.mask(&text);
            assert_eq!(shown(&masked), "<***>", "{name} of {:?}: {}", shown(&secret), shown(&form));
            count += 1;
        }
    }
    assert_eq!(count, 11 * 30, "none was left out");
}

#[test]
fn what_is_wrapped_into_lines_is_masked_line_by_line() {
    for (secret, _, wrapped) in table() {
        let masker = Masker::new([secret.clone()]);
        for (name, text) in wrapped {
            for text in [text.clone(), shown(&text).replace('\n', "\r\n").into_bytes()] {
                let masked = masker.mask(&text);
                let rest: Vec<u8> =
                    masked.iter().copied().filter(|byte| !b"*\r\n".contains(byte)).collect();
                assert_eq!(shown(&rest), "", "{name} of {:?}: {}", shown(&secret), shown(&text));
            }
        }
    }
}

#[test]
fn base64_of_what_contains_a_secret_shows_at_most_a_few_bits_at_its_edges() {
    let config = GeneralPurposeConfig::new();
    let engines = [&alphabet::STANDARD, &alphabet::URL_SAFE].map(|alphabet| {
        [true, false].map(|pads| GeneralPurpose::new(alphabet, config.with_encode_padding(pads)))
    });
    for (secret, ..) in table() {
        let masker = Masker::new([secret.clone()]);
        for engine in engines.iter().flatten() {
            for (before, after) in
                (0..7).flat_map(|before| (0..5).map(move |after| (before, after)))
            {
                let whole = [&b"user: x"[7 - before..], &secret, &b"~bye."[..after]].concat();
                let text = engine.encode(&whole);
                let masked = masker.mask(text.as_bytes());
                // The characters that are made of its bits alone, and those alone.
                let sure = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
                let end = if after == 0 { text.len() } else { sure.end };
                let expected = format!("{}***{}", &text[..sure.start], &text[end..]);
                assert_eq!(shown(&masked), expected, "{before} {after} {text}");
            }
        }
    }
}

#[test]
fn quotes_around_a_form_and_text_that_is_no_secret_stay() {
    let masker = Masker::new([b"it's a secret".to_vec(), b"other-secret".to_vec()]);
    for (text, masked) in [
        (r#"{"token": "it's a secret"}"#, r#"{"token": "***"}"#),
        (r"+ curl -H 'it'\''s a secret' x", r"+ curl -H '***' x"),
        ("?q=it%27s+a+secret&x=1", "?q=***&x=1"),
        ("<a b=\"it&apos;s a secret\"/>", "<a b=\"***\"/>"),
        ("other-secretother-secret", "******"),
        ("other-secre", "other-secre"),
        ("it's a secre it's a secretive", "it's a secre ***ive"),
    ] {
        assert_eq!(shown(&masker.mask(text.as_bytes())), masked);
    }
}

#[test]
fn secrets_that_overlap_leave_nothing_of_either() {
    let masker = Masker::new([b"abcdefgh".to_vec(), b"efghijkl".to_vec(), b"cdefgh".to_vec()]);
    assert_eq!(shown(&masker.mask(b"<abcdefghijkl>")), "<***>");
    assert_eq!(shown(&masker.mask(b"<abcdefgefghijkl>")), "<abcdefg***>");
    assert_eq!(shown(&masker.mask(b"<cdefghijkl>")), "<***>");
    let asterisks = Masker::new([b"a***b*".to_vec(), b"hunter22".to_vec()]);
    assert_eq!(shown(&asterisks.mask(b"a***b*** hunter22***a***b*")), "***** *********");
}

#[test]
fn nothing_but_what_may_become_a_secret_is_held_back() {
    let mut masker = Masker::new([b"hunter22".to_vec(), b"two\nlines of it".to_vec()]);
    for (bytes, decided, held) in [
        ("Password: ", "Password: ", 0),
        ("hunt", "", 4),
        ("ing\n", "hunting\n", 0),
        ("hunthunter2", "hunt", 7),
        ("2", "***", 0),
        ("tw", "", 2),
        ("o\n", "", 4),
        ("li", "", 6),
        ("ne", "", 8),
        ("!", "two\nline!", 0),
    ] {
        assert_eq!(shown(masker.push(bytes.as_bytes())), decided, "{bytes:?}");
        assert_eq!(masker.held(), held, "{bytes:?}");
    }
}

#[test]
fn a_secret_added_later_counts_from_then_on_and_in_what_is_held_back() {
    let mut masker = Masker::new([b"hunter22".to_vec()]);
    assert_eq!(shown(masker.push(b"later-secret hunte")), "later-secret ");
    assert_eq!(masker.add(b"hunters"), Added::Whole);
    assert_eq!(masker.add(b"hunters"), Added::Known);
    assert_eq!(masker.add(b"later-secret"), Added::Whole);
    assert_eq!(
        shown(masker.push(b"rs, hunter22, later-secret, bGF0ZXItc2VjcmV0.")),
        "***, ***, ***, ***."
    );
    let mut stderr = Masker::default();
    assert_eq!(shown(stderr.push(b"hunte")), "hunte");
    stderr.share(&masker);
    assert_eq!(shown(stderr.push(b"r22 hunter22")), "r22 ***");
    assert_eq!(
        (masker.add(b"short"), masker.add(b"  \n   \n")),
        (Added::TooShort, Added::TooShort)
    );
}

#[test]
fn past_a_limit_it_says_so_and_masks_what_it_can() {
    let secret = |number: usize| format!("{number:05}-{}", "s3cr3t".repeat(30)).into_bytes();
    let mut masker = Masker::default();
    let became: Vec<Added> = (0..1_002).map(|number| masker.add(&secret(number))).collect();
    let first = became.iter().position(|added| *added != Added::Whole).unwrap();
    assert!(first > 60, "room for {first}");
    assert!(became[first..].contains(&Added::Bare) && became.last() == Some(&Added::NoRoom));
    assert!(masker.secrets().forms_bytes() <= stepflow_recorder::mask::FORMS_BYTES_MAX);
    let hex =
        |number| secret(number).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    for (number, added) in became.iter().enumerate() {
        let raw = masker.mask(&secret(number)) == MASK;
        assert_eq!(raw, *added != Added::NoRoom, "{number} {added:?}");
        let encoded = masker.mask(hex(number).as_bytes()) == MASK;
        assert_eq!(encoded, *added == Added::Whole, "{number} {added:?}");
        assert_eq!(added.warning("it").is_some(), *added != Added::Whole);
    }
    // All at once, the same.
    let (together, all) = Secrets::new((0..1_002).map(|number| secret(number).into()));
    assert!(all == became, "it makes no difference when they come");
    assert!(together.forms() == masker.secrets().forms());
    assert_eq!(masker.add(&vec![b'x'; 65_537]), Added::NoRoom);
}

#[test]
fn text_made_of_beginnings_of_a_secret_costs_no_more_than_other_text() {
    // A search that begins again at every byte would take an hour.
    let secret = [&b"a".repeat(60_000)[..], b"b"].concat();
    let mut masker = Masker::new([secret.clone()]);
    let text = b"a".repeat(1 << 20);
    let mut passed = 0;
    for piece in text.chunks(4_096) {
        passed += masker.push(piece).len();
    }
    assert_eq!(passed + masker.held(), text.len());
    assert_eq!(masker.held(), 60_000);
    assert_eq!(masker.push(b"b."), b"***.");
}

// The properties.

/// Where forms occur: tries every one at every byte, joins those that overlap.
fn occurrences(forms: &[Vec<u8>], text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..text.len() {
        let longest = forms.iter().filter(|form| text[at..].starts_with(form)).map(Vec::len).max();
        match (longest, found.last_mut()) {
            (None, _) => {}
            (Some(length), Some(last)) if at < last.end => last.end = last.end.max(at + length),
            (Some(length), _) => found.push(at..at + length),
        }
    }
    found
}

fn replaced(text: &[u8], found: &[Range<usize>], keeps_length: bool) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    for range in found {
        out.extend_from_slice(&text[at..range.start]);
        let asterisks = if keeps_length { range.len() } else { 3 };
        out.resize(out.len() + asterisks, b'*');
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

fn pieces<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for size in sizes {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn secret() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[ab]{6,12}".prop_map(String::into_bytes),
        3 => "[!-~]{6,24}".prop_map(String::into_bytes),
        2 => "[a-c\n ]{6,24}".prop_map(String::into_bytes),
        2 => "[ -~\t]{6,12}\r?\n[ -~]{0,12}\n?".prop_map(String::into_bytes),
        1 => "[a-zäöü€🔑'\"]{6,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 6..20),
        1 => "[A-Za-z0-9+/]{60,130}".prop_map(String::into_bytes),
    ]
    .prop_filter("not blank", |secret| !Masker::is_too_short(secret))
}

/// What a text is put together from.
#[derive(Debug, Clone)]
enum Part {
    Filler(Vec<u8>),
    Form(Index),
    Beginning(Index, Index),
    End(Index, Index),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => "[ab]{0,12}".prop_map(|text| Part::Filler(text.into_bytes())),
        2 => "[ -~\r\n]{0,30}".prop_map(|text| Part::Filler(text.into_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(Part::Filler),
        1 => Just(Part::Filler(MASK.to_vec())),
        5 => any::<Index>().prop_map(Part::Form),
        2 => any::<(Index, Index)>().prop_map(|(form, at)| Part::Beginning(form, at)),
        2 => any::<(Index, Index)>().prop_map(|(form, at)| Part::End(form, at)),
    ]
}

fn text(parts: &[Part], forms: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        match part {
            Part::Filler(bytes) => text.extend_from_slice(bytes),
            Part::Form(form) => text.extend_from_slice(form.get::<Vec<u8>>(forms)),
            Part::Beginning(form, at) => {
                let form = form.get(forms);
                text.extend_from_slice(&form[..at.index(form.len())]);
            }
            Part::End(form, at) => {
                let form = form.get(forms);
                text.extend_from_slice(&form[at.index(form.len())..]);
            }
        }
    }
    text
}

proptest! {
    #[test]
    fn no_form_of_a_secret_comes_through_whatever_the_split(
        secrets in proptest::collection::vec(secret(), 1..4),
        parts in proptest::collection::vec(part(), 0..12),
        sizes in proptest::collection::vec(0_usize..40, 0..24),
        keeps_length: bool,
    ) {
        let mut masker = Masker::new(secrets);
        if keeps_length {
            masker = masker.keeping_length();
        }
        let forms = masker.secrets().forms();
        let text = text(&parts, &forms);
        let mut out = Vec::new();
        for piece in pieces(&text, &sizes) {
            out.extend_from_slice(masker.push(piece));
            let longest = masker.secrets().longest();
            prop_assert!(masker.held() < longest, "{} held of {longest}", masker.held());
        }
        out.extend_from_slice(masker.finish());
        prop_assert_eq!(masker.held(), 0);
        prop_assert_eq!(&out, &masker.mask(&text), "the split changes nothing");
        let found = occurrences(&forms, &text);
        prop_assert_eq!(&out, &replaced(&text, &found, keeps_length), "all else is as it was");
        if keeps_length {
            prop_assert_eq!(out.len(), text.len());
        }
        // With an asterisk in it, a mask and what stands beside may look like it again.
        for form in forms.iter().filter(|form| !form.contains(&b'*')) {
            prop_assert!(!out.windows(form.len()).any(|part| part == form));
        }
    }

    #[test]
    fn secrets_that_come_one_by_one_are_masked_from_then_on(
        secrets in proptest::collection::vec(secret(), 2..8),
        parts in proptest::collection::vec(proptest::collection::vec(part(), 0..5), 8),
        sizes in proptest::collection::vec(0_usize..40, 0..8),
    ) {
        let all = Secrets::new(secrets.iter().map(Into::into)).0.forms();
        let mut masker = Masker::default();
        let (mut text, mut out) = (Vec::new(), Vec::new());
        // Forms, and from which byte on.
        let mut since: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
        for (secret, parts) in secrets.iter().zip(&parts) {
            masker.add(secret);
            since.push((text.len() - masker.held(), Masker::new([secret.clone()]).secrets().forms()));
            let more = self::text(parts, &all);
            for piece in pieces(&more, &sizes) {
                out.extend_from_slice(masker.push(piece));
            }
            text.extend_from_slice(&more);
        }
        out.extend_from_slice(masker.finish());
        let mut found = Vec::new();
        for (from, forms) in &since {
            let from = *from;
            found.extend(occurrences(forms, &text[from..]).iter().map(|r| r.start + from..r.end + from));
        }
        found.sort_by_key(|range: &Range<usize>| range.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in found {
            match joined.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        prop_assert_eq!(out, replaced(&text, &joined, false));
    }
}
