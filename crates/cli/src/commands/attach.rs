//! `stepflow attach`: be at the terminal of an execution that runs.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use stepflow_model::TerminalSize;
use stepflow_record::{Liveness, LogReader, RecordView, Storage};

use super::{find, logs, logs::tail_offset};
use crate::{
    args::{self, Attach},
    failure::Failure,
    run::{
        Display, Options, exit_code,
        follow::Follower,
        keyboard::Keyboard,
        known::Known,
        lines::Raw,
        plain::Plain,
        terminal,
        watch::{Left, Signals, Watch},
    },
    source::{Remote, Source},
    text::{say, why},
};

/// How far back is looked for a program that has taken the whole screen.
const SCREEN_BYTES: u64 = 1 << 20;
/// Lines of a failed step that are shown at the end.
const FAILURE_LINES: usize = 20;

pub fn attach(storage: &Storage, args: &Attach) -> Result<ExitCode, Failure> {
    let id = find(storage, &args.id)?;
    let mut view = RecordView::open(storage, id)?;
    if view.liveness()? == Liveness::Ended {
        return Err(Failure::new(why::has_ended(id)).hint(why::logs_shows(id)));
    }
    let pty = view.spec.pty.is_some();
    let mut follower = Follower::open(storage, id)?;
    follower.look()?;

    let own = terminal::own_size().filter(|_| io::stdout().is_terminal());
    let rows = own.unwrap_or_default().rows;
    let mut full_screen = false;
    let mut offset = 0;
    if let Some(log) = follower.view.log()?.filter(|_| !args.from_start) {
        full_screen = pty && own.is_some() && has_taken_the_screen(log)?;
        // What a program drew on the whole screen makes no sense in pieces: it draws it anew.
        offset = if full_screen {
            log.position()?.0
        } else {
            tail_offset(log, u64::from(rows).saturating_sub(2).max(1))?
        };
        follower.events.retain(|event| offset < event.offset);
    }

    let takes_keys = pty && !args.no_stdin;
    let mut keyboard = None;
    if takes_keys {
        let detach = Some(&args.detach_keys).filter(|_| io::stdin().is_terminal());
        let keys = keyboard.insert(Keyboard::new(storage, id, detach, false)?);
        if let Some(size) = own {
            if full_screen {
                // Another size than it has: SIGWINCH makes it draw.
                keys.resize(TerminalSize { rows: size.rows + 1, ..size });
            }
            keys.resize(size);
        }
    }
    say_what_this_is(args, pty);
    let raw = if takes_keys { terminal::RawMode::begin()? } else { None };
    if full_screen {
        let mut out = io::stdout().lock();
        let _ = out.write_all(b"\x1b[?1049h\x1b[2J\x1b[H").and_then(|()| out.flush());
    }
    let display: Box<dyn Display> = if pty {
        Box::new(Raw::from(offset))
    } else {
        let options = Options {
            storage: storage.clone(),
            tail: 0,
            failure_lines: FAILURE_LINES,
            prefix: Vec::new(),
            known: Known::ask(storage, &follower.view.spec),
        };
        Box::new(Plain::new(options, None).from(offset))
    };
    let mut watch = Watch { follower, display, keyboard, raw, signals: Signals::Leave };
    match watch.until_the_end()? {
        Left::Ended => Ok(ExitCode::from(exit_code(&watch.follower.view.state.summary))),
        Left::Detached => {
            let _ = writeln!(io::stderr(), "\n{}", say::detached(id));
            Ok(ExitCode::SUCCESS)
        }
        Left::Unread => Ok(ExitCode::SUCCESS),
        Left::Signal(signal) => Ok(ExitCode::from(128 + signal as u8)),
    }
}

/// The same on a server elsewhere: its output is followed; keys have no way there.
pub fn follow_there(mut server: Remote, args: &Attach, pager: bool) -> Result<ExitCode, Failure> {
    let id = server.find(&args.id)?;
    let execution = server.detail(id)?.execution;
    if execution.completed_at.is_some() {
        return Err(Failure::new(why::has_ended(id)).hint(why::logs_shows(id)));
    }
    let keys = execution.pty && !args.no_stdin;
    let keys = if keys { say::keys_stay_there() } else { String::new() };
    let (what, leaves) = (say::following(), say::leaves_running());
    let _ = writeln!(io::stderr(), "stepflow: {what}{keys}{leaves}");
    let rows = terminal::own_size().unwrap_or_default().rows;
    let tail = (!args.from_start).then_some(usize::from(rows).saturating_sub(2).max(1));
    let follow = args::Logs { follow: true, exit_status: true, tail, ..args::Logs::of(id) };
    logs::logs(&mut server, &follow, pager)
}

/// A word before the first line, for people.
fn say_what_this_is(args: &Attach, pty: bool) {
    if !io::stderr().is_terminal() && pty {
        return;
    }
    let _ = if !pty {
        let keys = if args.no_stdin { String::new() } else { say::takes_no_keys() };
        let (what, leaves) = (say::following(), say::leaves_running());
        writeln!(io::stderr(), "stepflow: {what}{keys}{leaves}")
    } else if args.no_stdin {
        writeln!(io::stderr(), "stepflow: {}{}", say::only_looking(), say::leaves_running())
    } else if io::stdin().is_terminal() {
        writeln!(io::stderr(), "stepflow: {}", say::attached(&args.detach_keys))
    } else {
        Ok(())
    };
}

/// Whether the last that was said about the second screen is that it is shown.
fn has_taken_the_screen(log: &LogReader) -> Result<bool, Failure> {
    let (bytes, _) = log.position()?;
    let length = bytes.min(SCREEN_BYTES);
    let mut tail = vec![0; length as usize];
    log.read_at(&mut tail, bytes - length)?;
    Ok(shows_second_screen(&tail))
}

fn shows_second_screen(output: &[u8]) -> bool {
    let last = |sequences: [&[u8]; 3]| {
        sequences.into_iter().filter_map(|text| memchr::memmem::rfind(output, text)).max()
    };
    let shown = last([b"\x1b[?1049h", b"\x1b[?1047h", b"\x1b[?47h"]);
    let left = last([b"\x1b[?1049l", b"\x1b[?1047l", b"\x1b[?47l"]);
    shown.is_some() && left < shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_has_taken_the_screen_and_not_given_it_back_is_seen() {
        assert!(!shows_second_screen(b"plain \x1b[31mred\x1b[0m"));
        assert!(shows_second_screen(b"$ vi\r\n\x1b[?1049h\x1b[H~"));
        assert!(!shows_second_screen(b"\x1b[?1049h~\x1b[?1049l$ "));
        assert!(shows_second_screen(b"\x1b[?1049h~\x1b[?1049l$ less\r\n\x1b[?47h"));
    }
}
