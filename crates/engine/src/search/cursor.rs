//! Where an answer goes on.

use std::{fmt, str::FromStr};

use stepflow_model::ExecutionId;

/// A place in a search: behind an execution, or at a line of it. As text `TIME.ID`, or
/// `TIME.ID.LINE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchCursor {
    /// When the execution was created, microseconds UTC.
    pub created_us: i64,
    /// The execution.
    pub id: ExecutionId,
    /// The line to go on at; `None`: it is done, and those that are older follow.
    pub line: Option<u64>,
}

impl fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_us, self.id)?;
        self.line.map_or(Ok(()), |line| write!(f, ".{line}"))
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is one that an earlier answer gave")]
pub struct NoCursor;

impl FromStr for SearchCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(NoCursor);
        let created_us = next()?.parse().map_err(|_| NoCursor)?;
        let id = next()?.parse().map_err(|_| NoCursor)?;
        let line = parts.next().map(|line| line.parse().map_err(|_| NoCursor)).transpose()?;
        Ok(Self { created_us, id, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let id: ExecutionId = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        for line in [None, Some(17)] {
            let cursor = SearchCursor { created_us: -5, id, line };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "1", "1.x", "1.0198c2aa-0000-7000-8000-000000000001.x", "x.y.z"] {
            assert_eq!(wrong.parse::<SearchCursor>(), Err(NoCursor), "{wrong}");
        }
    }
}
