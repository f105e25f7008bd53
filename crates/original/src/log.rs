//! Step logs: `step_<index>_<step id>.log`, a line per entry: `[` ISO time `] ` content.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// What a line of a step log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLine<'a> {
    /// A time, as text, and what was printed then. The text may turn out to be no time.
    Entry(&'a str, &'a [u8]),
    /// Nothing: blank, or a time without content.
    Nothing,
    /// Something without a time. The original passes over it; here it is kept.
    Other(&'a [u8]),
}

/// Reads one line, as the original does: white space around it does not count, and only the first
/// `] ` ends the time, so content may begin with a bracket.
pub fn parse_line(line: &[u8]) -> LogLine<'_> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return LogLine::Nothing;
    }
    let Some(inner) = line.strip_prefix(b"[") else { return LogLine::Other(line) };
    let at = memchr::memmem::find(inner, b"] ");
    let (time, content) = match at {
        Some(at) => (&inner[..at], &inner[at + 2..]),
        None => match inner.strip_suffix(b"]") {
            Some(time) => (time, &inner[..0]),
            None => return LogLine::Other(line),
        },
    };
    match std::str::from_utf8(time) {
        // A time looks like one: other brackets are text.
        Ok(time) if time.starts_with(|c: char| c.is_ascii_digit()) => {
            if content.is_empty() {
                LogLine::Nothing
            } else {
                LogLine::Entry(time, content)
            }
        }
        _ => LogLine::Other(line),
    }
}

/// A step's log in an execution's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) index: u32,
    pub(crate) step: String,
    pub(crate) path: PathBuf,
}

/// What is in an execution's directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) logs: Vec<LogFile>,
    /// A record is there already.
    pub(crate) has_spec: bool,
}

impl Listing {
    /// Looks; a missing directory is empty.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        let entries = match dir.read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            listing.has_spec |= name == "spec.json";
            if let Some((index, step)) = parse_name(name) {
                listing.logs.push(LogFile { index, step: step.to_owned(), path: entry.path() });
            }
        }
        listing.logs.sort_unstable_by(|a, b| (a.index, &a.step).cmp(&(b.index, &b.step)));
        Ok(listing)
    }

    /// Takes out the log of a step.
    pub(crate) fn take(&mut self, step: &str) -> Option<LogFile> {
        let at = self.logs.iter().position(|log| log.step == step)?;
        Some(self.logs.remove(at))
    }
}

fn parse_name(name: &str) -> Option<(u32, &str)> {
    let (index, step) = name.strip_prefix("step_")?.strip_suffix(".log")?.split_once('_')?;
    if step.is_empty() { None } else { Some((index.parse().ok()?, step)) }
}

/// Hands every line of a file to `take`, without its end. A line is held in memory whole, as the
/// original held it.
pub(crate) fn for_each_line<E>(
    path: &Path,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    let mut file = BufReader::with_capacity(32 * 1024, File::open(path)?);
    loop {
        buffer.clear();
        if file.read_until(b'\n', buffer)? == 0 {
            return Ok(Ok(()));
        }
        if let Err(error) = take(buffer.strip_suffix(b"\n").unwrap_or(buffer)) {
            return Ok(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_as_the_original_reads_it() {
        let t = "2026-11-22T20:00:16.241347";
        let cases: &[(&str, LogLine)] = &[
            ("[T] plain", LogLine::Entry(t, b"plain")),
            ("[T] plain  \r", LogLine::Entry(t, b"plain")),
            (
                "[T] [2024-01-15T10:00:00] looks like one",
                LogLine::Entry(t, b"[2024-01-15T10:00:00] looks like one"),
            ),
            ("[T] [INFO] a] b] c", LogLine::Entry(t, b"[INFO] a] b] c")),
            ("[T]   indented", LogLine::Entry(t, b"  indented")),
            ("[T] ", LogLine::Nothing),
            ("[T]", LogLine::Nothing),
            ("", LogLine::Nothing),
            (" \t ", LogLine::Nothing),
            ("no bracket", LogLine::Other(b"no bracket")),
            ("[INFO] no time", LogLine::Other(b"[INFO] no time")),
            ("[broken", LogLine::Other(b"[broken")),
            ("[]", LogLine::Other(b"[]")),
            ("]", LogLine::Other(b"]")),
        ];
        for (line, expected) in cases {
            let line = line.replacen("[T]", &format!("[{t}]"), 1);
            assert_eq!(parse_line(line.as_bytes()), *expected, "{line}");
        }
        let invalid = [b"[2026-11-22T20:00:16] ".as_slice(), b"\xff\xfe end"].concat();
        assert_eq!(parse_line(&invalid), LogLine::Entry("2026-11-22T20:00:16", b"\xff\xfe end"));
    }

    #[test]
    fn the_name_of_a_log_says_whose_it_is() {
        assert_eq!(parse_name("step_0_a2a5.log"), Some((0, "a2a5")));
        assert_eq!(parse_name("step_12_x_y.log"), Some((12, "x_y")));
        for name in ["step_0_.log", "step_x_a.log", "output.log", "step_0_a.txt", "step_-1_a.log"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_content_is_part_of_the_line(line: Vec<u8>) {
            match parse_line(&line) {
                LogLine::Nothing => {}
                LogLine::Other(text) | LogLine::Entry(_, text) => {
                    prop_assert!(!text.is_empty());
                    prop_assert!(memchr::memmem::find(&line, text).is_some());
                }
            }
        }

        #[test]
        fn what_the_original_wrote_comes_back(
            time in "20[0-9]{2}-0[1-9]-1[0-9]T0[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{6})?",
            content in "[^\n\r\0]{1,60}",
        ) {
            let content = content.trim_ascii();
            prop_assume!(!content.is_empty());
            let line = format!("[{time}] {content}");
            prop_assert_eq!(parse_line(line.as_bytes()), LogLine::Entry(&time, content.as_bytes()));
        }
    }
}
