//! A large log is searched by several threads at once, part by part, and its hits are told in order
//! all the same.

use std::thread;

use stepflow_record::{LogReader, RecordError};

use super::{Bounds, Cursor, Hit, Pattern, search_to};

/// A smaller rest is searched by one thread: it takes no longer than starting others.
const WIDE_BYTES: u64 = 32 << 20;
/// One thread searches so much at a time. What all of them have found waits to be told meanwhile.
const PART_BYTES: u64 = 4 << 20;
/// So many hits in one part, and the rest is searched by one thread: telling them takes longer then.
const HITS_MAX: usize = 16_384;
/// More threads would wait for memory.
const THREADS_MAX: usize = 4;

/// How wide a search is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    threads: usize,
    wide_bytes: u64,
    part_bytes: u64,
    hits_max: usize,
}

impl Width {
    /// As wide as this machine is.
    pub(super) fn of_machine() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (wide_bytes, part_bytes, hits_max) = (WIDE_BYTES, PART_BYTES, HITS_MAX);
        Self { threads, wide_bytes, part_bytes, hits_max }
    }
}

/// Searches as [`super::search`] as long as that is worth more than one thread. Returns where to go on,
/// and whether there was time: `go_on` is asked when each thread has searched a part.
pub(super) fn search_wide(
    log: &LogReader,
    pattern: &Pattern,
    mut from: Cursor,
    bounds: Bounds,
    width: Width,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(Hit),
) -> Result<(Cursor, bool), RecordError> {
    let (recorded, lines) = log.position()?;
    while width.threads > 1
        && from.line < bounds.until
        && recorded.saturating_sub(from.offset) >= width.wide_bytes
    {
        let mut parts = Vec::with_capacity(width.threads);
        let mut begin = from;
        while parts.len() < width.threads
            && let Some(end) = line_near(log, begin.offset + width.part_bytes, lines)?
        {
            parts.push((begin, end));
            begin = end;
        }
        let Some((own, others)) = parts.split_first() else { break };
        let searched = thread::scope(|scope| {
            let part = |part: &(Cursor, Cursor)| one(log, pattern, *part, bounds, width.hits_max);
            let others: Vec<_> = others
                .iter()
                .map(|other| thread::Builder::new().spawn_scoped(scope, move || part(other)))
                .collect();
            // One that cannot be started, or has panicked, is searched after the others.
            let others = others.into_iter().zip(&parts[1..]).map(|(other, place)| {
                other.ok().and_then(|other| other.join().ok()).unwrap_or_else(|| part(place))
            });
            [part(own)].into_iter().chain(others).collect::<Vec<_>>()
        });
        for part in searched {
            let (hits, next, is_whole) = part?;
            hits.into_iter().for_each(&mut *sink);
            from = next;
            if from.line >= bounds.until {
                break;
            }
            if !is_whole {
                return Ok((from, true)); // Too much is found: one thread goes on from here.
            }
        }
        if !go_on() {
            return Ok((from, false));
        }
    }
    Ok((from, true))
}

/// The first line that begins behind the one that has the byte at `offset`, if there is one.
fn line_near(log: &LogReader, offset: u64, lines: u64) -> Result<Option<Cursor>, RecordError> {
    let line = log.line_at(offset)? + 1;
    Ok(if line > lines { None } else { Some(Cursor { offset: log.line_start(line)?, line }) })
}

/// The hits of a part, where to go on, and whether all of it was searched.
fn one(
    log: &LogReader,
    pattern: &Pattern,
    (from, end): (Cursor, Cursor),
    bounds: Bounds,
    hits_max: usize,
) -> Result<(Vec<Hit>, Cursor, bool), RecordError> {
    let mut hits = Vec::new();
    let found = std::cell::Cell::new(0);
    let (next, is_whole) = search_to(
        log,
        pattern,
        (from, end.offset),
        bounds,
        &mut || found.get() < hits_max,
        &mut |hit| {
            found.set(found.get() + 1);
            hits.push(hit);
        },
    )?;
    Ok((hits, next, is_whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stepflow_model::Stream;
    use stepflow_record::Writer;

    use super::*;
    use crate::search::{Syntax, search};

    fn all(log: &LogReader, pattern: &Pattern, bounds: Bounds, width: Width) -> (Vec<Hit>, Cursor) {
        let (mut hits, from) = (Vec::new(), Cursor { offset: 0, line: 1 });
        let mut tell = |hit| hits.push(hit);
        let (next, in_time) =
            search_wide(log, pattern, from, bounds, width, &mut || true, &mut tell).unwrap();
        assert!(in_time);
        let rest = (next, u64::MAX);
        let (next, _) = search_to(log, pattern, rest, bounds, &mut || true, &mut tell).unwrap();
        (hits, next)
    }

    proptest! {
        #[test]
        fn several_threads_find_what_one_finds_in_the_same_order(
            lines in proptest::collection::vec((any::<bool>(), "[ab \r\u{1b}]{0,30}"), 0..200),
            part_bytes in 1_u64..600,
            hits_max in 1_usize..20,
            until in 1_u64..250,
            half: bool,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = Writer::create(dir.path()).unwrap();
            for (number, (error, text)) in lines.iter().enumerate() {
                let stream = if *error { Stream::Stderr } else { Stream::Stdout };
                let end = if number % 9 == 4 { "" } else { "\n" };
                writer.append(stream, format!("{text}{end}").as_bytes(), 0, 0).1.unwrap();
                if number % 5 == 0 {
                    writer.close_entry().unwrap();
                }
            }
            writer.close_entry().unwrap();
            let log = LogReader::open(dir.path()).unwrap().unwrap();
            let pattern = Pattern::new("a", Syntax { regex: false, case: true }).unwrap();
            let bounds = Bounds { until, half };
            let width = Width { threads: 3, wide_bytes: 1, part_bytes, hits_max };
            let (hits, next) = all(&log, &pattern, bounds, width);
            let one = all(&log, &pattern, bounds, Width { threads: 1, ..width });
            prop_assert_eq!(hits, one.0);
            if until > lines.len() as u64 {
                prop_assert_eq!(next, one.1);
            }
        }
    }

    #[test]
    fn it_stops_when_the_time_is_over_and_goes_on_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        let text = "one line of many\n".repeat(4_000_000);
        for piece in text.as_bytes().chunks(1 << 20) {
            writer.append(Stream::Stdout, piece, 0, 0).1.unwrap();
        }
        writer.append(Stream::Stdout, b"the needle\n", 0, 0).1.unwrap();
        writer.close_entry().unwrap();
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let pattern = Pattern::new("needle", Syntax { regex: false, case: true }).unwrap();
        let bounds = Bounds { until: u64::MAX, half: true };
        let (mut from, mut rounds, mut hits) = (Cursor { offset: 0, line: 1 }, 0, Vec::new());
        loop {
            let (next, is_over) =
                search(&log, &pattern, from, bounds, &mut || false, &mut |hit| hits.push(hit))
                    .unwrap();
            assert!(is_over || next.offset > from.offset);
            (from, rounds) = (next, rounds + 1);
            if is_over {
                break;
            }
        }
        assert!(rounds > 2, "{rounds}");
        let lines: Vec<u64> = hits.iter().map(|hit| hit.line).collect();
        assert_eq!(lines, [4_000_001]);
    }
}
