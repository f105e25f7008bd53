//! What the output says: markers of every dialect, and what follows from them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use stepflow_markers::{
    LINE_BYTES_MAX,
    dialects::{self, At, Dialects, Selection},
};
use stepflow_model::{
    EventKind, Spec, Stream,
    steps::{self, Verdict, Verdicts},
};
use stepflow_record::RecordError;

use super::Recording;
use crate::{
    mask::{Added, Masker},
    progress::Said,
    words,
};

/// So many secrets that cannot be masked are told of.
const UNMASKED_TOLD_MAX: u32 = 20;

/// Where the line of a marker stands: its bytes, and the lines before it and with it.
struct Line {
    start: (u64, u64),
    end: (u64, u64),
}

/// What listens to the output of one execution.
pub(super) struct Hearing {
    /// `None` after a panic without dialects: it records on without steps.
    pub(super) dialects: Option<Dialects>,
    selection: Selection,
    /// Both streams are cut into lines apart.
    apart: bool,
    pub(super) stop_on_error: bool,
    /// Secrets that the output has declared.
    pub(super) declared: Vec<Vec<u8>>,
    unmasked_told: u32,
    /// For texts that a marker brought in another form than the log has them.
    pub(super) words: Masker,
    /// How dialects want open steps to end, once they were asked.
    settled: Option<Verdicts>,
    /// Whoever reads these bytes panics.
    #[cfg(test)]
    pub(super) poison: Option<&'static [u8]>,
}

impl Hearing {
    pub(super) fn new(spec: &Spec, masker: &Masker) -> Self {
        let selection = spec.dialects();
        Self {
            dialects: Some(Dialects::new(&selection)),
            selection,
            apart: spec.split_stderr,
            stop_on_error: spec.stop_on_error,
            declared: Vec::new(),
            unmasked_told: 0,
            words: masker.forgetful(),
            settled: None,
            #[cfg(test)]
            poison: None,
        }
    }

    /// How dialects call a stream.
    pub(super) fn stream(&self, stream: Stream) -> dialects::Stream {
        match stream {
            Stream::Stdout if self.apart => dialects::Stream::Stdout,
            Stream::Stdout => dialects::Stream::Merged,
            Stream::Stderr => dialects::Stream::Stderr,
        }
    }
}

impl Recording {
    /// Hears what was appended.
    pub(super) fn hear(&mut self, stream: Stream, bytes: &[u8], at: At) {
        let name = self.hearing.stream(stream);
        let mut said = Vec::new();
        #[cfg(test)]
        let poison = self.hearing.poison;
        let whole = self.guarded(|dialects| {
            dialects.push_at(name, bytes, at, &mut |s| said.push(s));
            #[cfg(test)]
            assert!(poison.is_none_or(|poison| memchr::memmem::find(bytes, poison).is_none()));
        });
        self.act(said);
        if !whole {
            // What stands in front of the next read is no beginning of a line.
            self.fall_back();
            let tail = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
            if let Some(dialects) = &mut self.hearing.dialects {
                let at = At { offset: at.offset + tail as u64, ..at };
                dialects.push_at(name, &bytes[tail..], at, &mut |_| {});
            }
        }
    }

    /// Hears what was dropped; returns how much of what was said there is no room for.
    pub(super) fn hear_lost(&mut self, stream: Stream, bytes: &[u8], at: At) -> u64 {
        let name = self.hearing.stream(stream);
        let mut said = Vec::new();
        let whole = self.guarded(|dialects| {
            dialects.push_at(name, bytes, at, &mut |s| said.push(s));
        });
        let left_out = self.act_on_lost(said);
        if !whole {
            self.fall_back();
        }
        left_out
    }

    /// A stream has ended.
    pub(super) fn hear_end(&mut self, stream: Stream) {
        let name = self.hearing.stream(stream);
        let (_, lines) = self.writer.appended();
        let floor = self.run_start;
        let mut said = Vec::new();
        let whole = self.guarded(|dialects| {
            dialects.end_stream_at(name, lines, floor, &mut |s| said.push(s));
        });
        self.act(said);
        if !whole {
            self.fall_back();
        }
    }

    /// The streams have ended: what dialects held is decided, once. Returns how they want steps to
    /// end that are open.
    pub(crate) fn settle(&mut self, verdict: &Verdict, exit_code: Option<i32>) -> Verdicts {
        if let Some(settled) = &self.hearing.settled {
            return settled.clone();
        }
        let ending = steps::ending(verdict, exit_code);
        let (mut said, mut open) = (Vec::new(), Vec::new());
        self.guarded(|dialects| open = dialects.settle(ending, &mut |s| said.push(s)));
        self.say(said);
        let settled = steps::verdicts(&open);
        self.hearing.settled = Some(settled.clone());
        settled
    }

    /// Journals what was said at the end, or beside the output.
    pub(crate) fn say(&mut self, said: Vec<dialects::Event>) {
        for (said, opens) in steps::with_openings(said) {
            for (_, mut kind) in steps::decide(&self.state, &said, opens, false).events {
                if let EventKind::StepFinished { by, .. } = &mut kind {
                    "end".clone_into(by);
                }
                words::mask(&mut kind, &self.hearing.words);
                self.emit(kind);
            }
        }
    }

    /// Journals what files of test results say.
    pub(crate) fn say_results(&mut self, told: Vec<EventKind>) {
        for kind in told {
            if let Some(mut kind) = steps::from_file(&self.state, kind) {
                words::mask(&mut kind, &self.hearing.words);
                self.emit(kind);
            }
        }
    }

    /// Masks what the output has just declared to be secret.
    pub(super) fn hide(&mut self, stream: Stream, secret: &str) {
        if secret.bytes().all(|byte| byte == b'*') {
            return; // A mask, printed again.
        }
        let added = self.maskers[stream as usize].add(secret.as_bytes());
        if added.is_new() {
            let [out, err] = &mut self.maskers;
            match stream {
                Stream::Stdout => err.share(out),
                Stream::Stderr => out.share(err),
            }
            self.hearing.words = self.maskers[stream as usize].forgetful();
            self.hearing.declared.push(secret.as_bytes().to_vec());
        }
        let told = added != Added::Whole && self.hearing.unmasked_told >= UNMASKED_TOLD_MAX;
        if let Some(message) = added.warning("a secret that the output declares").filter(|_| !told)
        {
            self.hearing.unmasked_told += 1;
            self.emit(EventKind::Warning { code: "mask_unused".to_owned(), message });
        }
    }

    /// Shows the gate what is recorded of the line that will go on.
    pub(super) fn rewind_gate(&mut self) -> Result<(), RecordError> {
        let (from, to) = (self.line_start, self.offset());
        let length = to.saturating_sub(from) as usize;
        let mut begun = vec![b' '; length.min(LINE_BYTES_MAX + 1)];
        if length > 0 && length <= LINE_BYTES_MAX {
            self.writer.read_back(&mut begun, from)?;
        }
        self.gate.forget(&begun);
        Ok(())
    }

    /// A dialect that panics must not end the script. Returns whether it did not.
    pub(super) fn guarded(&mut self, hear: impl FnOnce(&mut Dialects)) -> bool {
        let Some(mut dialects) = self.hearing.dialects.take() else { return true };
        let heard = catch_unwind(AssertUnwindSafe(|| {
            hear(&mut dialects);
            dialects
        }));
        match heard {
            Ok(dialects) => {
                self.hearing.dialects = Some(dialects);
                true
            }
            Err(_) => false,
        }
    }

    /// After a panic: own markers alone; after another, no more steps.
    pub(super) fn fall_back(&mut self) {
        let (code, message) = if self.hearing.selection.has_dialects() {
            self.own_markers_alone();
            (
                "dialect_panic",
                "reading markers of other systems failed inside StepFlow: from here on only its \
                 own are read; please report this",
            )
        } else {
            (
                "scanner_panic",
                "reading markers failed inside StepFlow: the output is recorded on, without \
                 further steps; please report this",
            )
        };
        let message = message.to_owned();
        self.emit(EventKind::Warning { code: code.to_owned(), message });
    }

    /// From here on no dialect is heard.
    pub(super) fn own_markers_alone(&mut self) {
        let own = self.hearing.selection.own();
        self.hearing.selection = if own { Selection::native() } else { Selection::none() };
        self.hearing.dialects = Some(Dialects::new(&self.hearing.selection));
        self.take_over();
    }

    /// The dialects go on from the steps that there are.
    pub(super) fn take_over(&mut self) {
        if let Some(dialects) = &mut self.hearing.dialects {
            let started = self.state.steps.len() as u32;
            dialects.take_over(started, &steps::open_steps(&self.state));
        }
    }

    /// The steps that dialects know are those that there are; if not, they are told.
    pub(super) fn agree(&mut self) {
        let Some(dialects) = &self.hearing.dialects else { return };
        let (started, open) = dialects.steps();
        let open: Vec<u32> = open.map(|step| step.0).collect();
        if started != self.state.steps.len() || open != self.state.open {
            self.take_over();
        }
    }

    /// Carries out what was said.
    pub(super) fn act(&mut self, said: Vec<dialects::Event>) {
        // What was dropped has no place of its own.
        let end = self.writer.appended().0;
        for (said, opens) in steps::with_openings(said) {
            let place = said.place;
            let start = (place.start.min(end), place.line - 1);
            let line = Line { start, end: (place.end.min(end), place.line) };
            self.carry_out(&said, opens, &line);
        }
    }

    /// Carries out what was said in output that was dropped, as far as there is room; returns how
    /// much was not.
    pub(super) fn act_on_lost(&mut self, said: Vec<dialects::Event>) -> u64 {
        let here = self.writer.appended();
        let mut left_out = 0;
        for (said, opens) in steps::with_openings(said) {
            // Behind a step that is left out nothing means what it says.
            if left_out == 0 && self.has_room_for_steps() {
                self.carry_out(&said, opens, &Line { start: here, end: here });
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.agree();
        }
        left_out
    }

    fn carry_out(&mut self, said: &dialects::Event, opens: bool, line: &Line) {
        let decision = steps::decide(&self.state, said, opens, self.hearing.stop_on_error);
        for (at, mut kind) in decision.events {
            words::mask(&mut kind, &self.hearing.words);
            match &kind {
                EventKind::Artifact { artifact, path, .. } => {
                    self.wants.artifacts.push((*artifact, path.clone()));
                    self.wants.sync = true;
                }
                EventKind::StepStarted { .. } | EventKind::StepFinished { .. } => {
                    self.wants.sync = true;
                }
                _ => {}
            }
            if let EventKind::Progress { step, percent, text } = kind {
                let (offset, lines) = line.start;
                self.progress.say(step, Said { percent, text, offset, lines });
                if self.replay.is_none() {
                    self.tell_progress_if_due();
                }
                continue;
            }
            let (offset, lines) = match at {
                steps::At::LineStart => line.start,
                steps::At::LineEnd => line.end,
            };
            self.emit_found(kind, offset, lines);
        }
        if self.wants.stop.is_none() {
            self.wants.stop = decision.stop;
        }
    }
}
