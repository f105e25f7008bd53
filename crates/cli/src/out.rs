//! Standard output for what may be long: a pager on a terminal, and quiet when the reader leaves.

use std::{
    env,
    io::{self, BufWriter, IsTerminal, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::failure::Failure;

/// Where a command writes to.
pub struct Out {
    target: Option<Target>,
    /// The reader has gone (`| head`, `q` in a pager): nothing more is wanted.
    broken: bool,
}

enum Target {
    Stdout(BufWriter<io::Stdout>),
    Pager(BufWriter<ChildStdin>, Child),
}

impl Out {
    /// Standard output as it is.
    pub fn plain() -> Self {
        Self { target: Some(Target::Stdout(BufWriter::new(io::stdout()))), broken: false }
    }

    /// Through `$PAGER`, or `less`, if standard output is a terminal and `wanted`.
    pub fn paged(wanted: bool) -> Self {
        if !wanted || !io::stdout().is_terminal() {
            return Self::plain();
        }
        match pager() {
            Some(target) => Self { target: Some(target), broken: false },
            None => Self::plain(),
        }
    }

    /// Whether nobody reads any more: then leaving is right.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// How a command ends that wrote here: whoever stopped reading `| head` wanted no more, and
    /// we end as a closed pipe ends a program; whoever left a pager has simply read enough.
    pub fn ended(&self, done: Result<(), Failure>) -> Result<(), Failure> {
        match self.target {
            Some(Target::Pager(..)) if self.broken => Ok(()),
            _ if self.broken => Err(Failure::of_a_closed_pipe()),
            _ => done,
        }
    }

    fn note<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if matches!(&done, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            self.broken = true;
        }
        done
    }
}

/// Starts the pager; `None`: there is none, or none is wanted.
fn pager() -> Option<Target> {
    let set = |name: &str| env::var(name).ok();
    let command = set("STEPFLOW_PAGER").or_else(|| set("PAGER"));
    let command = command.unwrap_or_else(|| "less".to_owned());
    let dumb = set("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    if dumb || command.trim().is_empty() || command.trim() == "cat" {
        return None;
    }
    let mut shell = Command::new("/bin/sh");
    // `exec` fails where there is no such pager: looked for first, so that nothing is lost.
    let first = command.split_whitespace().next().unwrap_or_default().to_owned();
    let there = Command::new("/bin/sh")
        .args(["-c", "command -v \"$1\" >/dev/null", "sh", &first])
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        return None;
    }
    shell.args(["-c", &command]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // Leave at once what fits, keep colours, leave the screen as it is.
        shell.env("LESS", "FRX");
    }
    if crate::text::locale().utf8 && env::var_os("LESSCHARSET").is_none() {
        // Where the C library does not know the locale, less would show bytes.
        shell.env("LESSCHARSET", "utf-8");
    }
    let mut child = shell.spawn().ok()?;
    let stdin = child.stdin.take()?;
    Some(Target::Pager(BufWriter::new(stdin), child))
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = match &mut self.target {
            Some(Target::Stdout(out)) => out.write(bytes),
            Some(Target::Pager(out, _)) => out.write(bytes),
            None => Ok(bytes.len()),
        };
        self.note(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = match &mut self.target {
            Some(Target::Stdout(out)) => out.flush(),
            Some(Target::Pager(out, _)) => out.flush(),
            None => Ok(()),
        };
        self.note(done)
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = self.flush();
        if let Some(Target::Pager(out, mut child)) = self.target.take() {
            drop(out); // The pager learns that this was all.
            let _ = child.wait();
        }
    }
}

/// Carries out `print`; a reader who leaves is told nothing.
pub fn print(
    out: &mut Out,
    print: impl FnOnce(&mut Out) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let printed = print(out).and_then(|()| Ok(out.flush()?));
    out.ended(printed)
}
