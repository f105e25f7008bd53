//! One text to an argument vector, as a shell would split it; what would need a shell is refused.

/// Why a text is not a command without a shell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It means something to a shell that splitting alone would lose.
    #[error("the command needs a shell: `{found}` is not quoted")]
    NeedsShell {
        /// The first character or pair that does.
        found: &'static str,
    },
    /// A quote is not closed, or the text ends in a backslash.
    #[error("the command has an unbalanced {what}")]
    Unbalanced {
        /// Which.
        what: &'static str,
    },
    /// No program can be given one.
    #[error("the command contains a NUL character")]
    Nul,
}

impl CommandError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NeedsShell { .. } => Some(
                "send \"shell\": true to run it with /bin/sh -c, or quote the character, or send \
                 the command as a list",
            ),
            Self::Unbalanced { .. } => Some("close the quote, or send the command as a list"),
            Self::Nul => None,
        }
    }
}

/// Splits `text` by the quoting rules of a POSIX shell (section 2.2), without expanding anything.
pub fn split(text: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None; // `Some` from the first character or quote on.
    let mut chars = text.chars().peekable();
    let refuse = |found| Err(CommandError::NeedsShell { found });
    while let Some(c) = chars.next() {
        match c {
            '\0' => return Err(CommandError::Nul),
            '|' => return refuse("|"),
            '&' => return refuse("&"),
            ';' => return refuse(";"),
            '<' => return refuse("<"),
            '>' => return refuse(">"),
            '`' => return refuse("`"),
            '\n' | '\r' => return refuse("line break"),
            '$' if chars.peek() == Some(&'(') => return refuse("$("),
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some('\0') => return Err(CommandError::Nul),
                        Some(c) => word.push(c),
                        None => return Err(CommandError::Unbalanced { what: "single quote" }),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n') => {}
                Some('\0') => return Err(CommandError::Nul),
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(CommandError::Unbalanced { what: "backslash" }),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The part behind an opening `"`. Inside it a shell would still run back-ticks and `$(`.
fn double_quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut String,
) -> Result<(), CommandError> {
    let unbalanced = CommandError::Unbalanced { what: "double quote" };
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\0') => return Err(CommandError::Nul),
            Some('`') => return Err(CommandError::NeedsShell { found: "`" }),
            Some('$') if chars.peek() == Some(&'(') => {
                return Err(CommandError::NeedsShell { found: "$(" });
            }
            Some('\\') => match chars.next() {
                Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c),
                Some('\n') => {}
                Some(c) => word.extend(['\\', c]),
                None => return Err(unbalanced),
            },
            Some(c) => word.push(c),
            None => return Err(unbalanced),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_split_as_a_shell_would() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  make   -j8\tall ", &["make", "-j8", "all"]),
            ("bash -c 'echo a b'", &["bash", "-c", "echo a b"]),
            (r#"echo "a \"b\" $HOME" c\ d"#, &["echo", "a \"b\" $HOME", "c d"]),
            (r#"printf "%s\n" ''"#, &["printf", "%s\\n", ""]),
            ("a'b'\"c\"d", &["abcd"]),
            ("echo 'a|b;c' \\| \"x > y\"", &["echo", "a|b;c", "|", "x > y"]),
            ("echo 'two\nlines'", &["echo", "two\nlines"]),
            ("a# #b ~ * ?", &["a#", "#b", "~", "*", "?"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text).unwrap(), *expected, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        let cases = [
            ("a | b", "|"),
            ("make && make test", "&"),
            ("sleep 9 &", "&"),
            ("a; b", ";"),
            ("a < b", "<"),
            ("a 2>&1", ">"),
            ("echo `date`", "`"),
            ("echo $(date)", "$("),
            ("echo \"$(date)\"", "$("),
            ("a\nb", "line break"),
        ];
        for (text, found) in cases {
            assert_eq!(split(text), Err(CommandError::NeedsShell { found }), "{text}");
        }
        for text in ["echo 'a", "echo \"a", "echo a\\"] {
            assert!(matches!(split(text), Err(CommandError::Unbalanced { .. })), "{text}");
        }
        for text in ["a\0b", "'a\0'", "\"\0\"", "\\\0"] {
            assert_eq!(split(text), Err(CommandError::Nul));
        }
    }

    proptest! {
        #[test]
        fn a_text_without_special_characters_is_split_at_white_space(
            words in prop::collection::vec("[a-zA-Z0-9_./=:,+@%^-]{1,9}", 0..9)
        ) {
            prop_assert_eq!(split(&words.join("  ")).unwrap(), words);
        }

        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^\0]{0,9}", 0..5)) {
            let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
            let text = words.iter().map(quote).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&text).unwrap(), words);
        }
    }
}
