//! Ids that are parsed before they are used: a request's text never becomes a path.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: {expected} is expected")]
pub struct IdError {
    /// The text, cut to 80 characters.
    pub text: String,
    /// The form that was expected.
    pub expected: &'static str,
}

impl IdError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

/// One execution. New ones are UUIDv7, so id order is creation order; imported ones may be v4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// Wraps a UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id's 16 bytes, for keys.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for ExecutionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "a UUID in lower case with hyphens");
        // Only the canonical spelling, so that one execution has one URL and one directory.
        if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        Uuid::try_parse(text).map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for ExecutionId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ExecutionId> for String {
    fn from(id: ExecutionId) -> Self {
        id.to_string()
    }
}

macro_rules! part_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// The execution it belongs to.
            pub execution: ExecutionId,
            /// Its number within the execution, from 0.
            pub index: u32,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}-", $letter, "{}"), self.execution, self.index)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let wrong = || IdError::new(text, $expected);
                let (execution, index) = text.rsplit_once(concat!("-", $letter)).ok_or_else(wrong)?;
                // `a06` would be another spelling of `a6`.
                let is_plain = index.bytes().all(|b| b.is_ascii_digit())
                    && (index == "0" || !index.starts_with('0'));
                if index.len() > 10 || !is_plain {
                    return Err(wrong());
                }
                Ok(Self {
                    execution: execution.parse().map_err(|_| wrong())?,
                    index: index.parse().map_err(|_| wrong())?,
                })
            }
        }
    };
}

part_id!(
    /// One step, written `<execution id>-s<index>`: derived, so that a rebuilt catalog has the same.
    StepId,
    "s",
    "<execution id>-s<number>"
);
part_id!(
    /// One artifact, written `<execution id>-a<index>`.
    ArtifactId,
    "a",
    "<execution id>-a<number>"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        let good = "0198c2aa-0000-7000-8000-000000000001";
        assert_eq!(good.parse::<ExecutionId>().unwrap().to_string(), good);
        for bad in [
            "",
            "nope",
            "0198C2AA-0000-7000-8000-000000000001",
            "../0198c2aa-0000-7000-8000-0000000001",
        ] {
            assert!(bad.parse::<ExecutionId>().is_err(), "{bad}");
        }
        let step: StepId = format!("{good}-s12").parse().unwrap();
        assert_eq!(step.index, 12);
        for bad in [
            "-s1",
            "0198c2aa-0000-7000-8000-000000000001-s",
            "0198c2aa-0000-7000-8000-000000000001-s+1",
            "0198c2aa-0000-7000-8000-000000000001-s01",
            "0198c2aa-0000-7000-8000-000000000001-s00",
        ] {
            assert!(bad.parse::<StepId>().is_err(), "{bad}");
        }
    }
}
