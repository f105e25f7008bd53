//! A real terminal multiplexer with a person in front of it.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Scratch, eventually};

/// A server of its own with one session of one window; gone when the test ends.
#[derive(Debug)]
pub struct Tmux {
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Tmux {
    /// `stepflow --storage … ARGS` in a window of this size. When it ends, its last screen stays.
    pub fn start(scratch: &Scratch, cols: u16, rows: u16, args: &[&str]) -> Self {
        let program = scratch.program().to_str().expect("UTF-8").to_owned();
        let root = scratch.storage.root().to_str().expect("UTF-8").to_owned();
        let mut command = vec![program, "--storage".to_owned(), root];
        command.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self::window(scratch, cols, rows, &command)
    }

    /// An interactive shell with job control.
    pub fn shell(scratch: &Scratch, cols: u16, rows: u16) -> Self {
        let command = ["bash", "--norc", "--noprofile", "-i"].map(str::to_owned);
        let tmux = Self::window(scratch, cols, rows, &command);
        tmux.waits_for("$");
        tmux
    }

    fn window(scratch: &Scratch, cols: u16, rows: u16, command: &[String]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tmux = Self { socket: dir.path().join(format!("tmux{number}")), _dir: dir };
        let (cols, rows) = (cols.to_string(), rows.to_string());
        let work = scratch.work();
        let mut args = vec!["new-session", "-d", "-x", &cols, "-y", &rows];
        args.extend(["-c", work.to_str().expect("UTF-8"), "-e", "LANG=C.UTF-8", "-e", "LC_ALL="]);
        let storage = format!("STEPFLOW_STORAGE_PATH={}", scratch.storage.root().display());
        args.extend(["-e", &storage]);
        for unset in ["NO_COLOR=1", "STEPFLOW_OUTPUT=", "GITHUB_ACTIONS=", "PS1=$ "] {
            args.extend(["-e", unset]);
        }
        args.push("--");
        args.extend(command.iter().map(String::as_str));
        // Options in the same call, before the session: the program may end at once.
        let mut first = vec!["set", "-g", "remain-on-exit", "on", ";"];
        first.extend(["set", "-g", "history-limit", "50000", ";"]);
        first.extend(["set", "-g", "default-terminal", "screen-256color", ";"]);
        first.extend(["set", "-g", "status", "off", ";"]);
        first.extend(args);
        tmux.call(&first);
        tmux
    }

    fn call(&self, args: &[&str]) -> String {
        let output = self.tmux(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn tmux(&self, args: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(args)
            .env_remove("TMUX")
            .env("LANG", "C.UTF-8")
            .output()
            .expect("tmux is installed (apt-get install tmux)")
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.call(&["capture-pane", "-p"])
    }

    /// The scrollback and what is on the screen; wrapped lines in one piece.
    pub fn everything(&self) -> String {
        self.call(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Waits until this is on the screen, which it returns.
    pub fn waits_for(&self, text: &str) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(text, || {
                last = self.screen();
                last.contains(text).then_some(())
            });
        }));
        assert!(seen.is_ok(), "never seen: {text:?}; the screen:\n{last}");
        last
    }

    /// Waits until this is on the screen no more.
    pub fn waits_for_no(&self, text: &str) {
        eventually(&format!("{text:?} is gone"), || (!self.screen().contains(text)).then_some(()));
    }

    /// Waits until the screen has shown time passing twice: at least one whole frame was drawn
    /// since the call.
    pub fn settles(&self) {
        for _ in 0..2 {
            let before = self.screen();
            eventually("another frame", || (self.screen() != before).then_some(()));
        }
    }

    /// Types this text.
    pub fn types(&self, text: &str) {
        self.call(&["send-keys", "-l", text]);
    }

    /// Presses a key, by tmux's name for it: `Enter`, `C-c`.
    pub fn keys(&self, key: &str) {
        self.call(&["send-keys", key]);
    }

    /// Drags the window to another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        // tmux tells its program of one size in 250 ms, but puts its lines into the new width at
        // once: whoever drags faster sees what was drawn for the old one in between.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let (cols, rows) = (cols.to_string(), rows.to_string());
        self.call(&["resize-window", "-x", &cols, "-y", &rows]);
    }

    /// Types this line.
    pub fn enters(&self, line: &str) {
        self.types(line);
        self.keys("Enter");
    }

    /// What tmux says of the window, in its format language.
    pub fn says(&self, format: &str) -> String {
        self.call(&["display-message", "-p", format]).trim().to_owned()
    }

    /// Closes the window, as by its cross: whoever runs in it loses the terminal.
    pub fn closes(&self) {
        let _ = self.tmux(&["kill-server"]);
    }

    /// The pid of the program in the window.
    pub fn pid(&self) -> i32 {
        self.says("#{pane_pid}").parse().expect("a pid")
    }

    /// Whether the cursor can be seen.
    pub fn cursor_is_visible(&self) -> bool {
        self.says("#{cursor_flag}") == "1"
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
