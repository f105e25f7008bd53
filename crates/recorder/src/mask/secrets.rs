//! The secrets of one record, made ready to be found; and their limits.

use std::{fmt, sync::Arc};

use super::{
    automaton::{Automaton, count_nodes},
    forms,
    stream::Masker,
};

/// Most secrets of one record.
pub const SECRETS_MAX: usize = 1_000;
/// Longest secret, in bytes: 64 KiB.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of all forms of all secrets of one record, where beginnings that forms of one secret
/// share count once. Each takes about ten bytes of memory, of the 8 MiB that a recorder may have.
pub const FORMS_BYTES_MAX: usize = 160 * 1024;

/// A part that has not this many times the bytes of the next one is joined with it.
const GROWTH: usize = 4;

/// What became of a secret that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is masked in all its forms.
    Whole,
    /// It was there already.
    Known,
    /// It is masked as it is and in lines: there was no room for its encoded forms.
    Bare,
    /// It is not masked: it is too short, or nothing but white space.
    TooShort,
    /// It is not masked: it is longer than [`SECRET_BYTES_MAX`], or there was no room.
    NoRoom,
}

impl Added {
    /// Whether more is masked than before.
    pub fn is_new(self) -> bool {
        matches!(self, Self::Whole | Self::Bare)
    }

    /// What people should know of it, about a secret called `name`.
    pub fn warning(self, name: &str) -> Option<String> {
        match self {
            Self::Whole | Self::Known => None,
            Self::TooShort => Some(format!("{name} is too short to be masked")),
            Self::Bare => Some(format!(
                "{name} is masked as it is, not in encoded forms: the secrets of this execution \
                 take all the room there is for that"
            )),
            Self::NoRoom => Some(format!(
                "{name} is not masked: at most {SECRETS_MAX} secrets of {SECRET_BYTES_MAX} bytes \
                 are, and {FORMS_BYTES_MAX} bytes of all their forms together"
            )),
        }
    }
}

/// Secrets that are masked together. Copies share what makes up most of it.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Those with more bytes first: so that one more costs about what it has itself, each
    /// is [`GROWTH`] times as large as the next.
    parts: Vec<Arc<Part>>,
}

/// Some secrets, in one automaton.
pub(super) struct Part {
    secrets: Vec<Secret>,
    automaton: Automaton,
}

impl Part {
    fn new(secrets: Vec<Secret>) -> Self {
        let automaton = Automaton::new(secrets.iter().flat_map(Secret::patterns).collect());
        Self { secrets, automaton }
    }

    pub(super) fn automaton(&self) -> &Automaton {
        &self.automaton
    }
}

#[derive(Clone)]
struct Secret {
    value: Vec<u8>,
    /// Masked in its encoded forms as well.
    whole: bool,
    /// Bytes of its forms.
    bytes: usize,
}

impl Secret {
    fn patterns(&self) -> Vec<Vec<u8>> {
        patterns(&self.value, self.whole)
    }
}

fn patterns(value: &[u8], whole: bool) -> Vec<Vec<u8>> {
    let mut patterns = forms::plain(value);
    if whole {
        patterns.extend(forms::encoded(value));
    }
    patterns.sort_unstable();
    patterns.dedup();
    patterns
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never their values.
        f.debug_struct("Secrets").field("count", &self.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// All of `values`, and what became of each.
    pub fn new<'a>(
        values: impl IntoIterator<Item = std::borrow::Cow<'a, [u8]>>,
    ) -> (Self, Vec<Added>) {
        let mut taken: Vec<Secret> = Vec::new();
        let mut room = FORMS_BYTES_MAX;
        let mut became = Vec::new();
        for value in values {
            if taken.iter().any(|secret| secret.value == *value) {
                became.push(Added::Known);
                continue;
            }
            let (added, secret) = weigh(&value, taken.len(), room);
            became.push(added);
            if let Some(secret) = secret {
                room -= secret.bytes;
                taken.push(secret);
            }
        }
        let parts = if taken.is_empty() { Vec::new() } else { vec![Arc::new(Part::new(taken))] };
        (Self { parts }, became)
    }

    /// One more.
    pub fn add(&mut self, value: &[u8]) -> Added {
        if self.contains(value) {
            return Added::Known;
        }
        let room = FORMS_BYTES_MAX - self.forms_bytes();
        let (added, secret) = weigh(value, self.len(), room);
        let Some(secret) = secret else { return added };
        let mut part = Part::new(vec![secret]);
        while let Some(last) =
            self.parts.pop_if(|last| last.automaton.nodes() < GROWTH * part.automaton.nodes())
        {
            let mut secrets = last.secrets.clone();
            secrets.append(&mut part.secrets);
            part = Part::new(secrets);
        }
        self.parts.push(Arc::new(part));
        added
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.secrets.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes of all forms: see [`FORMS_BYTES_MAX`].
    pub fn forms_bytes(&self) -> usize {
        self.secrets().map(|secret| secret.bytes).sum()
    }

    /// The longest form, in bytes: a stream holds back less.
    pub fn longest(&self) -> usize {
        self.parts.iter().map(|part| part.automaton.longest()).max().unwrap_or(0)
    }

    /// Every form of every one of them, sorted.
    pub fn forms(&self) -> Vec<Vec<u8>> {
        let mut forms: Vec<Vec<u8>> = self.secrets().flat_map(Secret::patterns).collect();
        forms.sort_unstable();
        forms.dedup();
        forms
    }

    fn contains(&self, value: &[u8]) -> bool {
        self.secrets().any(|secret| secret.value == value)
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.parts.iter().flat_map(|part| &part.secrets)
    }

    pub(super) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }
}

/// What is to become of `value` where there are `others` already and `room` is left.
fn weigh(value: &[u8], others: usize, room: usize) -> (Added, Option<Secret>) {
    if Masker::is_too_short(value) {
        return (Added::TooShort, None);
    }
    if value.len() > SECRET_BYTES_MAX || others >= SECRETS_MAX {
        return (Added::NoRoom, None);
    }
    for (whole, added) in [(true, Added::Whole), (false, Added::Bare)] {
        // In base64 alone it has about four times its bytes: that need not be tried.
        if whole && value.len() > room / 4 {
            continue;
        }
        let bytes = count_nodes(&patterns(value, whole));
        if bytes <= room {
            return (added, Some(Secret { value: value.to_vec(), whole, bytes }));
        }
    }
    (Added::NoRoom, None)
}
