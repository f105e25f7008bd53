use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a client is: the next output byte, and the last journal event it has.
///
/// Written `OFFSET.SEQ`: several events may share an offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "ts", ts(type = "string"))]
pub struct Cursor {
    /// Output bytes it has.
    pub offset: u64,
    /// Events it has.
    pub seq: u64,
}

/// A text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorError;

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cursor is written OFFSET.SEQ, such as 4096.12")
    }
}

impl std::error::Error for CursorError {}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.offset, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse().ok() } else { None }
        };
        let (offset, seq) = text.split_once('.').ok_or(CursorError)?;
        match (number(offset), number(seq)) {
            (Some(offset), Some(seq)) => Ok(Self { offset, seq }),
            _ => Err(CursorError),
        }
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;
    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_plain_numbers_are_a_cursor() {
        assert_eq!("0.0".parse(), Ok(Cursor::default()));
        for bad in
            ["", ".", "1", "1.", ".1", "+1.2", "1.2.3", "-1.0", "1,2", "99999999999999999999.1"]
        {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}
