//! What may stand before a marker: nothing, or the prefix of a log line; never the rest of a word,
//! a quotation, a command that prints it, or a shell's trace.

/// The five marker words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    StepStart,
    StepComplete,
    StepError,
    Artifact,
    Meta,
}

const WORDS: [(&[u8], Word); 5] = [
    (b"STEP_START", Word::StepStart),
    (b"STEP_COMPLETE", Word::StepComplete),
    (b"STEP_ERROR", Word::StepError),
    (b"ARTIFACT", Word::Artifact),
    (b"META", Word::Meta),
];

/// Commands that print what follows: a marker behind one was quoted, not said.
const PRINTERS: [&str; 9] =
    ["echo", "printf", "print", "puts", "say", "Write-Host", "Write-Output", "-e", "-n"];

/// The marker word that ends just before `colon`, in any case, and where it begins.
pub(crate) fn word_before(line: &[u8], colon: usize) -> Option<(Word, usize)> {
    // The last letter decides for nearly every colon of ordinary output.
    if !matches!(line.get(colon.checked_sub(1)?)?.to_ascii_uppercase(), b'T' | b'E' | b'R' | b'A') {
        return None;
    }
    WORDS.iter().find_map(|(text, word)| {
        let start = colon.checked_sub(text.len())?;
        line[start..colon].eq_ignore_ascii_case(text).then_some((*word, start))
    })
}

/// Whether `word`, spelled `spelled`, may stand behind `prefix`.
pub(crate) fn allows(prefix: &str, word: Word, spelled: &str) -> bool {
    let Some(last) = prefix.chars().next_back() else { return true };
    if !(last.is_whitespace()
        || matches!(last, ']' | ')' | '}' | ':' | '|' | '>' | '#' | '*' | ';' | ','))
    {
        return false;
    }
    // `set -x` prints `+ command`, one plus a level.
    if prefix.starts_with('+') && prefix.trim_start_matches('+').starts_with(' ') {
        return false;
    }
    let Some(before) = prefix.split_whitespace().next_back() else { return true };
    if PRINTERS.contains(&before) {
        return false;
    }
    match word {
        Word::StepStart | Word::StepComplete | Word::StepError => true,
        // Ordinary words: in prose they are no markers.
        Word::Artifact | Word::Meta => {
            let shouted = spelled.bytes().all(|byte| byte.is_ascii_uppercase());
            shouted && is_log_prefix(before)
        }
    }
}

/// Whether the last word of a prefix looks like a log's: `10:00:01`, `INFO`, `root:`, `[app]`, `//`.
fn is_log_prefix(word: &str) -> bool {
    let ends_in_mark = word.chars().next_back().is_some_and(|c| !c.is_alphanumeric());
    let level = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    ends_in_mark || level || word.bytes().any(|byte| byte.is_ascii_digit())
}
