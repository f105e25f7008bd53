//! What may stand before a marker: nothing, or the prefix of a log line; never the rest of a word,
//! a quotation, a command that prints it, or a shell's trace. Constant work for each candidate.

/// The marker words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    StepStart,
    StepComplete,
    StepError,
    StepSkip,
    Artifact,
    Meta,
    Progress,
}

impl Word {
    /// As it is usually written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::StepStart => "STEP_START:",
            Self::StepComplete => "STEP_COMPLETE:",
            Self::StepError => "STEP_ERROR:",
            Self::StepSkip => "STEP_SKIP:",
            Self::Artifact => "ARTIFACT:",
            Self::Meta => "META:",
            Self::Progress => "PROGRESS:",
        }
    }
}

const WORDS: [(&[u8], Word); 7] = [
    (b"STEP_START", Word::StepStart),
    (b"STEP_COMPLETE", Word::StepComplete),
    (b"STEP_ERROR", Word::StepError),
    (b"STEP_SKIP", Word::StepSkip),
    (b"ARTIFACT", Word::Artifact),
    (b"META", Word::Meta),
    (b"PROGRESS", Word::Progress),
];

/// Commands that print what follows: a marker behind one was quoted, not said.
const PRINTERS: [&str; 7] =
    ["echo", "printf", "print", "puts", "say", "Write-Host", "Write-Output"];

/// How much of a prefix is looked at: a bound, or a line full of candidates takes quadratic time.
const LOOK_BACK_BYTES: usize = 256;

/// Whether a marker word ends in these two letters, in any case.
///
/// Without a branch, so that a search over a block of bytes becomes vector instructions.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
pub(crate) fn ends_word(before: u8, last: u8) -> bool {
    let (before, last) = (before | 0x20, last | 0x20);
    ((last == b't') & ((before == b'r') | (before == b'c')))
        | ((before == b't') & ((last == b'e') | (last == b'a')))
        | ((before == b'o') & (last == b'r'))
        | ((before == b'i') & (last == b'p'))
        | ((before == b's') & (last == b's'))
}

/// The marker word that ends just before `colon`, in any case, and where it begins.
#[inline]
pub(crate) fn word_before(line: &[u8], colon: usize) -> Option<(Word, usize)> {
    // The last two letters decide for nearly every colon of ordinary output.
    let last = line.get(colon.checked_sub(2)?..colon)?;
    if !ends_word(last[0], last[1]) {
        return None;
    }
    WORDS.iter().find_map(|(text, word)| {
        let start = colon.checked_sub(text.len())?;
        line[start..colon].eq_ignore_ascii_case(text).then_some((*word, start))
    })
}

/// Whether the shell printed this line to trace a command: `set -x` begins it with one plus a level.
pub(crate) fn is_trace(line: &str) -> bool {
    line.starts_with('+') && line.trim_start_matches('+').starts_with(' ')
}

/// Whether `word`, spelled `spelled`, may stand behind `prefix`.
pub(crate) fn allows(prefix: &str, word: Word, spelled: &str) -> bool {
    if prefix.is_empty() {
        return true;
    }
    let prefix = last_bytes(prefix);
    match word {
        Word::StepStart | Word::StepComplete | Word::StepError | Word::StepSkip => {}
        // Ordinary words: in prose they are no markers.
        Word::Artifact | Word::Meta | Word::Progress => {
            let shouted = spelled.bytes().all(|byte| byte.is_ascii_uppercase());
            if !shouted || !is_log_prefix(prefix) {
                return false;
            }
        }
    }
    is_apart(prefix) && !is_printed(prefix)
}

/// Whether a marker may stand directly behind `prefix`: not glued to a word, a path or a quotation.
fn is_apart(prefix: &str) -> bool {
    // `===STEP_START:x` is a banner, `X-STEP_START:x` and `A=STEP_START:x` are words.
    let head = prefix.trim_end_matches(['-', '=', '+', '@', '$', '&', '%', '~', '^', '?']);
    head.chars().next_back().is_none_or(|last| match last {
        '_' | '/' | '\\' | '.' | '<' | '(' | '[' | '{' | '\u{fffd}' => false,
        last => !last.is_alphanumeric() && !is_quote(last),
    })
}

/// Whether the word before, options and formats aside, is a command that prints: `echo -n`,
/// `printf '%s\n'`.
fn is_printed(prefix: &str) -> bool {
    let command = prefix.split_whitespace().rfind(|word| {
        !word.starts_with('-') && !word.starts_with(is_quote) && !word.ends_with(is_quote)
    });
    command.is_some_and(|word| PRINTERS.contains(&word.strip_prefix('@').unwrap_or(word)))
}

/// Whether a prefix ends like a log's: `10:00:01`, `INFO`, `root:`, `[app]`, `//`.
fn is_log_prefix(prefix: &str) -> bool {
    let ends_well = |c: char| c.is_whitespace() || matches!(c, ':' | ']' | ')' | '}' | '>' | '|');
    let Some(word) = prefix.split_whitespace().next_back() else { return false };
    let ends_in_mark = word.chars().next_back().is_some_and(|c| !c.is_alphanumeric());
    let level = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    prefix.ends_with(ends_well)
        && (ends_in_mark || level || word.bytes().any(|byte| byte.is_ascii_digit()))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}

/// The end of `prefix`, at most [`LOOK_BACK_BYTES`].
fn last_bytes(prefix: &str) -> &str {
    let mut from = prefix.len().saturating_sub(LOOK_BACK_BYTES);
    while !prefix.is_char_boundary(from) {
        from += 1;
    }
    &prefix[from..]
}
