//! A word to those whose script failed for want of a terminal.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use stepflow_model::{EventKind, Reason, steps::Verdict};

use super::Session;

/// How much of the end of the output is looked at.
const TAIL_BYTES: u64 = 8 * 1024;

/// What programs say, in lower case, when they want a terminal and there is none.
const COMPLAINTS: [&str; 16] = [
    "no tty present",                 // sudo, older
    "a terminal is required",         // sudo
    "you must have a tty",            // sudo with requiretty
    "must be run from a terminal",    // su, passwd
    "the input device is not a tty",  // docker -it
    "stdin is not a terminal",        // ssh, and many
    "stdin is not a tty",             // mesg, and many
    "not a terminal",                 // tmux, screen, whiptail
    "requires a terminal",            // many
    "requires a tty",                 // many
    "cannot open '/dev/tty'",         // gpg
    "cannot open /dev/tty",           // pinentry, shells
    "can't open /dev/tty",            // shells
    "open /dev/tty: no such device",  // Go programs
    "/dev/tty: no such device",       // shells
    "inappropriate ioctl for device", // stty, gpg, readers of passwords
];

impl Session {
    /// Says that there is `--pty`, if that looks like the reason of a failure.
    pub(super) fn hint_at_terminal(&mut self, verdict: &Verdict) {
        if verdict.reason != Some(Reason::ExitCode) || self.spec.pty.is_some() {
            return;
        }
        // Only a hint: an output that cannot be read now is no reason for a word.
        if tail(&self.dir.join("output.log")).is_ok_and(|tail| wants_terminal(&tail)) {
            self.recording.emit(EventKind::Warning {
                code: "needs_terminal".to_owned(),
                message: "the script seems to want a terminal: `stepflow run --pty` (or \"pty\": \
                          true) gives it one"
                    .to_owned(),
            });
        }
    }
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

fn wants_terminal(tail: &[u8]) -> bool {
    let text = String::from_utf8_lossy(tail).to_lowercase().replace(['\u{2018}', '\u{2019}'], "'");
    COMPLAINTS.iter().any(|complaint| text.contains(complaint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_without_a_terminal_is_known() {
        for said in [
            "sudo: a terminal is required to read the password; either use the -S option",
            "sudo: no tty present and no askpass program specified",
            "the input device is not a TTY",
            "su: must be run from a terminal",
            "sh: 1: cannot open /dev/tty: No such device or address",
            "bash: line 1: /dev/tty: No such device or address",
            "gpg: cannot open '/dev/tty': No such device or address",
            "stty: 'standard input': Inappropriate ioctl for device",
            "open terminal failed: not a terminal",
        ] {
            assert!(wants_terminal(said.as_bytes()), "{said}");
        }
        for said in ["", "error: terminal velocity reached", "no such device", "tty"] {
            assert!(!wants_terminal(said.as_bytes()), "{said}");
        }
    }
}
