//! Keeps declared secrets out of the record, whatever the split into reads.
//!
//! Sits between read and append: bytes that may still become a secret are held back until they are
//! decided, or the stream ends.

/// What stands in the record instead of a secret.
pub const MASK: &[u8] = b"***";
/// Shorter values are not masked: they would hide ordinary output, and guessing them is no work.
pub const SECRET_BYTES_MIN: usize = 6;

/// Replaces secrets in one stream.
#[derive(Debug, Clone, Default)]
pub struct Masker {
    /// Longest first, so that a secret that contains another is replaced whole.
    secrets: Vec<Vec<u8>>,
    held: Vec<u8>,
    out: Vec<u8>,
    /// A secret becomes as many asterisks as it has bytes.
    keeps_length: bool,
}

impl Masker {
    /// Masks `values`, and each long line of a value with several. Values that are too short are
    /// left out: see [`Masker::is_too_short`].
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let lines = value.split(|byte| *byte == b'\n').map(|line| line.trim_ascii().to_vec());
            secrets.extend(lines.collect::<Vec<_>>());
            // A terminal shows `\n` as `\r\n`.
            secrets.push(with_returns(&value));
            secrets.push(value);
        }
        secrets.retain(|secret| !Self::is_too_short(secret));
        secrets.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        secrets.dedup();
        Self { secrets, ..Self::default() }
    }

    /// A masker that changes no offset: a secret becomes as many asterisks as it has bytes. For
    /// streams whose source counts bytes to know what it need not send again.
    #[must_use]
    pub fn keeping_length(mut self) -> Self {
        self.keeps_length = true;
        self
    }

    /// One for the same secrets, with nothing held back.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        Self { held: Vec::new(), out: Vec::new(), ..self.clone() }
    }

    /// Bytes that are held back now.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a value is too short to be masked.
    pub fn is_too_short(value: &[u8]) -> bool {
        value.len() < SECRET_BYTES_MIN
    }

    /// Whether there is anything to mask.
    pub fn is_idle(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Takes the stream's next bytes; returns those that are decided, with secrets replaced.
    pub fn push<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.secrets.is_empty() {
            return bytes;
        }
        self.held.extend_from_slice(bytes);
        self.decide(false);
        &self.out
    }

    /// The stream has ended: what is held back cannot become a secret any more.
    pub fn finish(&mut self) -> &[u8] {
        self.decide(true);
        &self.out
    }

    fn decide(&mut self, ended: bool) {
        self.out.clear();
        let mut at = 0;
        'bytes: while at < self.held.len() {
            let rest = &self.held[at..];
            for secret in &self.secrets {
                if rest.starts_with(secret) {
                    if self.keeps_length {
                        self.out.resize(self.out.len() + secret.len(), b'*');
                    } else {
                        self.out.extend_from_slice(MASK);
                    }
                    at += secret.len();
                    continue 'bytes;
                }
                // A longer secret may still come of this, so a shorter one must wait for it.
                if !ended && secret.starts_with(rest) {
                    break 'bytes;
                }
            }
            self.out.push(self.held[at]);
            at += 1;
        }
        self.held.drain(..at);
    }
}

fn with_returns(value: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(value.len());
    let mut before = 0;
    for byte in value {
        if *byte == b'\n' && before != b'\r' {
            shown.push(b'\r');
        }
        shown.push(*byte);
        before = *byte;
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(secrets: &[&str], input: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut masker = Masker::new(secrets.iter().map(|s| s.as_bytes().to_vec()));
        let mut out = Vec::new();
        let mut at = 0;
        for cut in cuts {
            let end = (at + cut).min(input.len());
            out.extend_from_slice(masker.push(&input[at..end]));
            at = end;
        }
        out.extend_from_slice(masker.push(&input[at..]));
        out.extend_from_slice(masker.finish());
        out
    }

    #[test]
    fn a_secret_is_replaced_even_when_it_comes_byte_by_byte() {
        let input = b"token=hunter22 ok";
        assert_eq!(mask(&["hunter22"], input, &[1; 17]), b"token=*** ok");
        assert_eq!(mask(&["hunter22"], b"hunter2", &[3]), b"hunter2", "a beginning is no secret");
        assert_eq!(mask(&["abcabcabd"], b"abcabcabcabd", &[]), b"abc***");
        assert_eq!(mask(&["secret", "secretsauce"], b"secretsauce secret!", &[7]), b"*** ***!");
    }

    #[test]
    fn a_mask_that_keeps_the_length_changes_no_offset() {
        let mut masker = Masker::new([b"hunter22".to_vec()]).keeping_length();
        assert_eq!(masker.push(b"a hunter2"), b"a ");
        assert_eq!(masker.held(), 7);
        assert_eq!(masker.push(b"2 b"), b"******** b");
    }

    #[test]
    fn short_values_are_not_masked_and_long_lines_of_a_value_are() {
        assert_eq!(mask(&["abc"], b"abcabc", &[]), b"abcabc");
        assert_eq!(mask(&["first-line\nsecond-line"], b"x second-line y", &[]), b"x *** y");
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_as_a_terminal_shows_it() {
        // Its lines are too short to be masked one by one.
        for shown in ["one\ntwo\nthree", "one\r\ntwo\r\nthree"] {
            let shown = format!("<{shown}>\r\n");
            assert_eq!(mask(&["one\ntwo\nthree"], shown.as_bytes(), &[1; 30]), b"<***>\r\n");
        }
        let windows = mask(&["one\r\ntwo\r\n"], b"one\r\ntwo\r\n.", &[]);
        assert_eq!(windows, b"***.");
    }

    proptest! {
        #[test]
        fn no_split_lets_a_secret_through_or_changes_other_text(
            input in "[ab\n]{0,60}",
            secret in "[ab]{6,9}",
            cuts in proptest::collection::vec(0_usize..9, 0..20),
        ) {
            let whole = mask(&[&secret], input.as_bytes(), &[]);
            let split = mask(&[&secret], input.as_bytes(), &cuts);
            prop_assert_eq!(&whole, &split);
            prop_assert_eq!(String::from_utf8(whole).unwrap(), input.replace(&secret, "***"));
        }
    }
}
