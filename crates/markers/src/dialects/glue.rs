//! Markers in the middle of a line: a program may have left a line unfinished before.

/// Whether a marker may stand behind `before`; `armed`: its dialect is known to be in use.
///
/// Documentation quotes markers and shells trace the commands that print them: those are kept out.
pub(crate) fn allows(before: &str, armed: bool) -> bool {
    let Some(last) = before.chars().next_back() else { return true };
    if before.trim().is_empty() {
        return true;
    }
    let quoted = matches!(last, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»');
    let apart =
        last.is_whitespace() || matches!(last, '(' | '[' | '{' | '<' | '>' | '=' | '|' | ',');
    !quoted && (armed || !apart)
}
