//! A person at a terminal: what they see, what they type.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::termios::{Termios, tcgetattr};
use stepflow_sys::pty::Pty;

use crate::{PATIENCE, Scratch, eventually};

/// A program of ours that runs on a terminal of its own, which controls it.
#[derive(Debug)]
pub struct Screen {
    pty: Option<Pty>,
    /// Held, so that the settings can be read when the program is gone.
    slave: Option<OwnedFd>,
    child: Child,
    /// As the terminal was before the program had it.
    first: Termios,
    seen: Vec<u8>,
}

impl Screen {
    /// `stepflow --storage … ARGS` on a terminal of this size.
    pub fn start(scratch: &Scratch, cols: u16, rows: u16, args: &[&str]) -> Self {
        Self::start_with(scratch, (cols, rows), &[("TERM", "xterm-256color")], args)
    }

    /// The same with these in its environment.
    pub fn start_with(
        scratch: &Scratch,
        (cols, rows): (u16, u16),
        environment: &[(&str, &str)],
        args: &[&str],
    ) -> Self {
        let (pty, slave) = Pty::open(cols, rows).expect("a terminal");
        let first = tcgetattr(&pty.master).expect("settings");
        let stream = || Stdio::from(slave.try_clone().expect("a descriptor"));
        // Into a session of its own, whose terminal is standard input.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(scratch.program())
            .arg("--storage")
            .arg(scratch.storage.root())
            .args(args)
            .current_dir(scratch.work())
            .env("TERM", "xterm-256color")
            .env_remove("STEPFLOW_STORAGE_PATH")
            .env_remove("STEPFLOW_OUTPUT")
            .env_remove("STEPFLOW_DETACH_KEYS")
            .envs(environment.iter().copied())
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("setsid starts");
        Self { pty: Some(pty), slave: Some(slave), child, first, seen: Vec::new() }
    }

    fn pty(&self) -> &Pty {
        self.pty.as_ref().expect("a terminal that has not hung up")
    }

    /// The program's pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The terminal's settings now.
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.pty().master).expect("settings")
    }

    /// Its settings before the program had it.
    pub fn settings_before(&self) -> &Termios {
        &self.first
    }

    /// Reads what is there; all that was seen so far, as text.
    pub fn look(&mut self) -> String {
        let mut buffer = [0; 8 * 1024];
        let mut master: &File = &self.pty.as_ref().expect("a terminal").master;
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            self.seen.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits until this was seen.
    pub fn waits_for(&mut self, text: &str) {
        let mut last = String::new();
        let begun = Instant::now();
        while !last.contains(text) {
            assert!(begun.elapsed() < PATIENCE, "never seen: {text:?}; the screen: {last:?}");
            thread::sleep(Duration::from_millis(3));
            last = self.look();
        }
    }

    /// Forgets what was seen.
    pub fn clear(&mut self) {
        self.look();
        self.seen.clear();
    }

    /// Types this, at once.
    pub fn types(&self, keys: &str) {
        let mut master: &File = &self.pty().master;
        master.write_all(keys.as_bytes()).expect("room for a few keys");
    }

    /// Drags the window to another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.pty().resize(cols, rows).expect("another size");
    }

    /// The window is closed.
    pub fn hang_up(&mut self) {
        self.slave = None;
        self.pty = None;
    }

    /// Waits for the program's end; what it prints is read meanwhile.
    pub fn ends(&mut self) -> ExitStatus {
        eventually("the program ends", || {
            if self.pty.is_some() {
                self.look();
            }
            self.child.try_wait().expect("a status")
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
