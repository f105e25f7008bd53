//! `stepflow watch`: executions on the whole screen.
//!
//! `state` says what is shown, `keys` what keys do to it, `render` draws it: all pure. `worker` asks whoever
//! knows, on a thread of its own, so that no key waits for a disk or a network.

mod ansi; // a line's sequences as cells
mod browser; // shows a page in a browser
mod cache; // lines that are held, a bounded number
mod guard; // hears signals, and that the terminal is gone
mod keys; // what keys do
mod marks; // what is selected
mod mouse; // what the mouse does
mod render; // what it looks like
mod state; // what is shown
mod steps; // tree, strip, timeline
#[cfg(test)]
mod tests; // screens of several sizes
mod worker; // asks

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ratatui::{
    DefaultTerminal,
    crossterm::{
        event::{self, DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind},
        execute,
    },
};

use self::{guard::Heard, render::render, state::App};
use crate::{
    args,
    failure::Failure,
    run::summary::colour,
    source::Source,
    text::{say, why},
};

/// Answers and keys are looked for this often.
const TICK: Duration = Duration::from_millis(40);
/// Longest text that is sent to the clipboard: terminals refuse more.
const COPY_BYTES_MAX: usize = 64 * 1024;

/// Watches until `q`.
pub fn watch(source: Box<dyn Source>, args: &args::Watch) -> Result<ExitCode, Failure> {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if !on_terminal || dumb {
        return Err(Failure::new(why::needs_terminal()).hint(why::need_none()));
    }
    let (tell, heard) = mpsc::channel();
    guard::listen(tell)?;
    let (ask, asked) = mpsc::channel();
    let (say, said) = mpsc::channel();
    thread::spawn(move || worker::work(source, &asked, &say));
    let app = App::new(args.id.as_deref(), colour(true));
    // Restores the terminal when something panics, too.
    let terminal = ratatui::try_init()?;
    let mut screen = Screen { terminal, mouse: args.mouse };
    screen.capture_mouse();
    let done = screen.run(app, &ask, &said, &heard);
    screen.release();
    match done? {
        End::Left(None) => Ok(ExitCode::SUCCESS),
        End::Left(Some(said)) => Err(Failure::new(said).hint(why::ls_shows_ids())),
        End::Signal(signal) => Ok(ExitCode::from(128 + signal as u8)),
    }
}

enum End {
    /// By a key; or there was nothing to show, for this reason.
    Left(Option<String>),
    Signal(u32),
}

struct Screen {
    terminal: DefaultTerminal,
    mouse: bool,
}

impl Screen {
    fn capture_mouse(&self) {
        if self.mouse {
            let _ = execute!(io::stdout(), EnableMouseCapture);
        }
    }

    fn release(&mut self) {
        let _ = self.terminal.show_cursor();
        if self.mouse {
            let _ = execute!(io::stdout(), DisableMouseCapture);
        }
        ratatui::restore();
    }

    fn run(
        &mut self,
        mut app: App,
        ask: &mpsc::Sender<worker::Ask>,
        said: &mpsc::Receiver<worker::Said>,
        heard: &mpsc::Receiver<Heard>,
    ) -> Result<End, Failure> {
        let mut changed = true;
        loop {
            if changed {
                app.settle();
                for asked in app.asks.drain(..) {
                    // A worker that is gone has said why, or panicked: then we end below.
                    let _ = ask.send(asked);
                }
                let height = app.height;
                self.terminal.draw(|frame| render(&mut app, frame))?;
                // Only drawing shows how much room there is: then other lines may be wanted.
                changed = height != app.height;
            }
            if event::poll(TICK)? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
                    Event::Mouse(mouse) => app.mouse(mouse),
                    _ => {}
                }
                changed = true;
            }
            loop {
                match said.try_recv() {
                    Ok(answer) => {
                        app.take(answer);
                        changed = true;
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => {
                        return Err(Failure::new(why::thread_ended()).hint(why::please_report()));
                    }
                }
            }
            if let Some(page) = app.browse.take() {
                let shown = browser::show(&page);
                app.message = Some(if shown { say::in_browser(page) } else { say::page_is(page) });
                changed = true;
            }
            if let Some(text) = app.copy.take() {
                copy(&text)?;
            }
            if std::mem::take(&mut app.suspend) {
                self.suspend()?;
                changed = true;
            }
            while let Ok(said) = heard.try_recv() {
                match said {
                    Heard::End(signal) => return Ok(End::Signal(signal)),
                    Heard::Suspend => {
                        self.suspend()?;
                        changed = true;
                    }
                }
            }
            if app.quit {
                return Ok(End::Left(app.message.filter(|_| app.one.is_none() && !app.has_list)));
            }
        }
    }

    /// Gives the terminal back, stops, and takes it again when it goes on.
    fn suspend(&mut self) -> Result<(), Failure> {
        self.release();
        // SIGTSTP is ours to read, so that it would not stop us.
        kill(Pid::this(), Signal::SIGSTOP)
            .map_err(|errno: Errno| Failure::new(why::cannot_stop(errno.desc())))?;
        self.terminal = ratatui::try_init()?;
        self.capture_mouse();
        Ok(self.terminal.clear()?)
    }
}

/// Asks the terminal to put text on the clipboard (OSC 52). It is encoded, so nothing in it acts.
fn copy(text: &str) -> io::Result<()> {
    let mut end = text.len().min(COPY_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(&text[..end]))?;
    out.flush()
}
