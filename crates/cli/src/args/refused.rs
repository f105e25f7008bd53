//! What is wrong with a command line, in at most three lines: what, why, what next.

use std::num::ParseIntError;

use clap::{
    CommandFactory, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Args;
use crate::{failure::Failure, text::why};

/// What to say of a command line, `words`, that is refused. `None`: it is no refusal but help, which
/// is printed as it is.
pub fn refused(error: &Error, words: &[String]) -> Option<Failure> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let said = Said(error);
    let argument = said.of(ContextKind::InvalidArg);
    let value = said.of(ContextKind::InvalidValue);
    let command = command(words);
    let all = why::help_lists(&command);
    let failure = match error.kind() {
        ErrorKind::UnknownArgument => {
            let failure = Failure::new(why::unknown_flag(argument));
            match said.nearest(ContextKind::SuggestedArg) {
                Some(flag) => failure.hint(why::did_you_mean(flag, all)),
                None if command == "stepflow run" => failure.hint(why::dashes_first()),
                None => failure.hint(all),
            }
        }
        ErrorKind::InvalidSubcommand => {
            let unknown = said.of(ContextKind::InvalidSubcommand);
            let failure = Failure::new(why::unknown_command(unknown));
            match said.nearest(ContextKind::SuggestedSubcommand) {
                Some(command) => failure.hint(why::did_you_mean(command, all)),
                None => failure.hint(all),
            }
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            Failure::new(why::needs_value(argument)).hint(said.values().unwrap_or(all))
        }
        ErrorKind::InvalidValue => {
            Failure::new(why::wrong_value(value, argument)).hint(said.values().unwrap_or(all))
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(cause) if cause.is::<ParseIntError>() => {
                Failure::new(why::wrong_value(value, argument)).hint(why::a_whole_number())
            }
            Some(cause) => Failure::new(why::of_flag(argument, cause)).hint(all),
            None => Failure::new(why::wrong_value(value, argument)).hint(all),
        },
        ErrorKind::ArgumentConflict => {
            let other = said.of(ContextKind::PriorArg);
            Failure::new(why::exclude_each_other(argument, other)).hint(all)
        }
        ErrorKind::MissingRequiredArgument => Failure::new(why::missing(argument)).hint(all),
        _ => Failure::new(said.first_line()).hint(all),
    };
    Some(failure.code(error.exit_code() as u8))
}

/// Which command was meant: `stepflow artifacts get`.
fn command(words: &[String]) -> String {
    let mut command = Args::command();
    let mut path = "stepflow".to_owned();
    for word in words.iter().skip(1).take_while(|word| *word != "--") {
        if let Some(below) = command.find_subcommand(word) {
            path.push(' ');
            path.push_str(word);
            command = below.clone();
        }
    }
    path
}

struct Said<'a>(&'a Error);

impl Said<'_> {
    /// All that is known of a kind, as one text.
    fn of(&self, kind: ContextKind) -> String {
        match self.0.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(", "),
            Some(ContextValue::StyledStr(text)) => text.to_string(),
            _ => String::new(),
        }
    }

    fn nearest(&self, kind: ContextKind) -> Option<String> {
        match self.0.get(kind)? {
            ContextValue::String(text) => Some(text.clone()),
            // The nearest one is last.
            ContextValue::Strings(texts) => texts.last().cloned(),
            _ => None,
        }
    }

    /// Which values would do; the nearest one first.
    fn values(&self) -> Option<String> {
        let valid = self.of(ContextKind::ValidValue);
        let all = Some(why::one_of(&valid)).filter(|_| !valid.is_empty())?;
        Some(match self.nearest(ContextKind::SuggestedValue) {
            Some(value) => why::did_you_mean(value, all),
            None => all,
        })
    }

    fn first_line(&self) -> String {
        let text = self.0.to_string();
        let line = text.lines().next().unwrap_or_default();
        line.trim_start_matches("error: ").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn of(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = Args::command().try_get_matches_from(&words).expect_err("it is to be refused");
        refused(&error, &words).map_or_else(String::new, |failure| failure.text())
    }

    const LINES: [&str; 12] = [
        "stepflow logs last --folow",
        "stepflow logs last --no-such-thing",
        "stepflow run --name x make",
        "stepflow run --out raw -- make",
        "stepflow artefacts",
        "stepflow artifacts got",
        "stepflow run --output trea -- make",
        "stepflow run --name",
        "stepflow run --timeout soon -- make",
        "stepflow cancel last --all",
        "stepflow logs",
        "stepflow ls -n many",
    ];

    #[test]
    fn what_why_and_what_next_in_three_lines() {
        let all: Vec<String> = LINES.iter().map(|line| format!("$ {line}\n{}", of(line))).collect();
        insta::assert_snapshot!("refused", all.join("\n"));
        text::asked::chinese();
        let all: Vec<String> = LINES.iter().map(|line| format!("$ {line}\n{}", of(line))).collect();
        insta::assert_snapshot!("refused_chinese", all.join("\n"));
    }

    #[test]
    fn help_and_version_are_no_refusals() {
        for line in ["stepflow --help", "stepflow logs --help", "stepflow --version", "stepflow"] {
            assert_eq!(of(line), "", "{line}");
        }
    }
}
