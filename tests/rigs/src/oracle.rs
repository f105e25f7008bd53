//! Lines that tell of loss, repetition, change and disorder: each follows from its writer's number
//! and its own, so that a reader knows what must stand there.

use std::{
    collections::BTreeMap, fs::File, io::Write, os::unix::fs::FileExt, path::Path,
    process::ExitCode, thread, time::Duration,
};

/// The hidden command that makes this program a writer.
pub(crate) const COMMAND: &str = "oracle-write";

/// The line of `writer` with number `n`, 40 to 240 bytes with its line feed.
pub(crate) fn line(writer: u64, n: u64) -> Vec<u8> {
    let mut state = (writer << 40 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    };
    let mut line = format!("o {writer} {n:09} ").into_bytes();
    for _ in 0..20 + next() % 200 {
        line.push(b'a' + (next() % 26) as u8);
    }
    let crc = crc32c::crc32c(&line);
    line.extend(format!(" {crc:08x}\n").into_bytes());
    line
}

/// `oracle-write WRITER FROM COUNT PAUSE_US [PROGRESS]`: prints lines; after each of them (or, with no
/// pause, after each 32) notes in PROGRESS how many were printed.
pub(crate) fn write(args: &[String]) -> ExitCode {
    let number = |at: usize| args.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(writer), Some(from), Some(count), Some(pause)) =
        (number(0), number(1), number(2), number(3))
    else {
        return ExitCode::from(2);
    };
    let progress = args.get(4).map(|path| File::create(path).expect("a file for the progress"));
    let batch = if pause == 0 { 32 } else { 1 };
    let mut out = std::io::stdout().lock();
    let mut n = from;
    while n < from + count {
        let until = (n + batch).min(from + count);
        let lines: Vec<u8> = (n..until).flat_map(|n| line(writer, n)).collect();
        if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
        n = until;
        if let Some(progress) = &progress {
            let _ = progress.write_all_at(&n.to_le_bytes(), 0);
        }
        if pause > 0 {
            thread::sleep(Duration::from_micros(pause));
        }
    }
    ExitCode::SUCCESS
}

/// How many lines a writer says it has printed.
pub(crate) fn printed(progress: &Path) -> u64 {
    let bytes = std::fs::read(progress).unwrap_or_default();
    bytes.first_chunk().map_or(0, |number| u64::from_le_bytes(*number))
}

/// Reads a log and says what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The next line of each writer.
    pub(crate) next: BTreeMap<u64, u64>,
    half: Vec<u8>,
    /// Whole lines seen.
    pub(crate) lines: u64,
}

impl Checker {
    /// Takes what comes next. Lines of others are passed over.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.half.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(end) = self.half[at..].iter().position(|byte| *byte == b'\n') {
            let whole = &self.half[at..=at + end];
            at += end + 1;
            if !whole.starts_with(b"o ") {
                continue;
            }
            let text = String::from_utf8_lossy(whole);
            let mut words = text.split(' ').skip(1).map(str::parse::<u64>);
            let (Some(Ok(writer)), Some(Ok(n))) = (words.next(), words.next()) else {
                return Err(format!("a changed line: {text:?}"));
            };
            let next = self.next.entry(writer).or_default();
            if n != *next {
                let what = if n < *next { "again, or late" } else { "missing lines before" };
                return Err(format!("writer {writer}: line {n} where {next} was due: {what}"));
            }
            if whole != line(writer, n) {
                return Err(format!("writer {writer}: line {n} was changed: {text:?}"));
            }
            *next += 1;
            self.lines += 1;
        }
        self.half.drain(..at);
        Ok(())
    }

    /// What stands at the end may be the beginning of a line, and nothing else.
    pub(crate) fn finish(&self) -> Result<(), String> {
        let half = &self.half;
        let due = self.next.iter().map(|(writer, n)| line(*writer, *n));
        let fits = half.is_empty()
            || !half.starts_with(b"o ")
            || due.chain([line(0, 0)]).any(|line| line.starts_with(half));
        let shown = String::from_utf8_lossy(half);
        if fits { Ok(()) } else { Err(format!("a changed half line at the end: {shown:?}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[Vec<u8>]) -> Result<(), String> {
        let mut checker = Checker::default();
        for line in lines {
            checker.take(line)?;
        }
        checker.finish()
    }

    #[test]
    fn loss_repetition_change_and_disorder_are_found_and_nothing_else() {
        let lines: Vec<Vec<u8>> = (0..9).map(|n| line(3, n)).collect();
        assert_eq!(check(&lines), Ok(()));
        assert_eq!(check(&[lines.concat()[..700].to_vec()]), Ok(()), "cut anywhere");
        assert!(check(&[&lines[..3], &lines[4..]].concat()).unwrap_err().contains("missing"));
        assert!(check(&[&lines[..3], &lines[2..]].concat()).unwrap_err().contains("again"));
        let mut swapped = lines.clone();
        swapped.swap(4, 5);
        assert!(check(&swapped).is_err());
        for at in [0, 5, 30, lines[6].len() - 3] {
            let mut changed = lines.clone();
            changed[6][at] ^= 1;
            // A line that does not begin as one is another's: then one is missing.
            assert!(check(&changed).is_err(), "{at}");
        }
        let mut half = lines[0][..20].to_vec();
        assert!(check(&[half.clone()]).is_err(), "writer 3 is not known yet");
        half[19] ^= 1;
        assert!(check(&[lines[0].clone(), lines[1][..30].to_vec()]).is_ok());
        let mut torn = lines[1][..30].to_vec();
        torn[25] ^= 1;
        assert!(check(&[lines[0].clone(), torn]).is_err());
    }
}
