//! A log that is read and not recorded: the same way of a byte, from the gate to the fold, without
//! disk, clock and process.

use stepflow_markers::dialects::{self, At, Dialects, Gate, Piece, Selection};
use stepflow_model::{
    Event, EventKind, ExecutionState, Spec,
    steps::{self, Verdict},
};

use crate::{mask::Masker, words};

/// The streams of a log.
const OUT: dialects::Stream = dialects::Stream::Stdout;
const ERR: dialects::Stream = dialects::Stream::Stderr;

/// One log, being read.
#[derive(Debug)]
pub struct Offline {
    gate: Gate,
    /// Standard output's, or both streams', and standard error's.
    maskers: [Masker; 2],
    words: Masker,
    dialects: Dialects,
    state: ExecutionState,
    events: Vec<Event>,
    offset: u64,
    lines: u64,
}

impl Offline {
    /// For the dialects of `selection`.
    pub fn new(spec: &Spec, selection: &Selection) -> Self {
        Self {
            gate: Gate::new(selection),
            maskers: [Masker::default(), Masker::default()],
            words: Masker::default(),
            dialects: Dialects::new(selection),
            state: ExecutionState::new(spec),
            events: Vec::new(),
            offset: 0,
            lines: 0,
        }
    }

    /// Takes the log's next bytes.
    pub fn take(&mut self, stream: dialects::Stream, bytes: &[u8]) {
        let mut gate = std::mem::take(&mut self.gate);
        gate.push(stream, bytes, &mut |piece| self.pass(stream, piece));
        self.gate = gate;
    }

    /// The log has ended, and its script as `verdict` and `exit_code` say.
    pub fn finish(&mut self, verdict: &Verdict, exit_code: Option<i32>) {
        for stream in [OUT, ERR] {
            let mut gate = std::mem::take(&mut self.gate);
            gate.finish(stream, &mut |piece| self.pass(stream, piece));
            self.gate = gate;
            let mut masker = std::mem::take(&mut self.maskers[slot(stream)]);
            self.hear(stream, masker.finish());
            self.maskers[slot(stream)] = masker;
            let (mut said, lines) = (Vec::new(), self.lines);
            self.dialects.end_stream_at(stream, lines, 0, &mut |s| said.push(s));
            self.act(said);
        }
        let mut said = Vec::new();
        let ending = steps::ending(verdict, exit_code);
        let open = self.dialects.settle(ending, &mut |s| said.push(s));
        self.say(said);
        let verdicts = steps::verdicts(&open);
        for kind in steps::finish(&self.state, verdict, exit_code, &verdicts) {
            self.emit(kind, self.offset, self.lines);
        }
    }

    /// What came of it.
    pub fn state(&self) -> &ExecutionState {
        &self.state
    }

    /// What a journal would hold.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn pass(&mut self, stream: dialects::Stream, piece: Piece<'_>) {
        match piece {
            Piece::Bytes(bytes) => {
                let mut masker = std::mem::take(&mut self.maskers[slot(stream)]);
                self.hear(stream, masker.push(bytes));
                self.maskers[slot(stream)] = masker;
            }
            Piece::Secret(secret) => {
                let added = self.maskers[slot(stream)].add(secret.as_bytes());
                let [out, err] = &mut self.maskers;
                if slot(stream) == 0 {
                    err.share(out);
                } else {
                    out.share(err);
                }
                self.words = out.forgetful();
                if let Some(message) = added.warning("a secret that the output declares") {
                    let code = "mask_unused".to_owned();
                    self.emit(EventKind::Warning { code, message }, self.offset, self.lines);
                }
            }
        }
    }

    fn hear(&mut self, stream: dialects::Stream, bytes: &[u8]) {
        let at = At { offset: self.offset, lines: self.lines, floor: 0 };
        let mut said = Vec::new();
        self.dialects.push_at(stream, bytes, at, &mut |s| said.push(s));
        self.offset += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.act(said);
    }

    fn act(&mut self, said: Vec<dialects::Event>) {
        for (said, opens) in steps::with_openings(said) {
            let place = said.place;
            for (at, mut kind) in steps::decide(&self.state, &said, opens, false).events {
                words::mask(&mut kind, &self.words);
                match at {
                    steps::At::LineStart => self.emit(kind, place.start, place.line - 1),
                    steps::At::LineEnd => self.emit(kind, place.end, place.line),
                }
            }
        }
    }

    /// What is said at the end is about no line.
    fn say(&mut self, said: Vec<dialects::Event>) {
        for (said, opens) in steps::with_openings(said) {
            for (_, mut kind) in steps::decide(&self.state, &said, opens, false).events {
                if let EventKind::StepFinished { by, .. } = &mut kind {
                    "end".clone_into(by);
                }
                words::mask(&mut kind, &self.words);
                self.emit(kind, self.offset, self.lines);
            }
        }
    }

    fn emit(&mut self, kind: EventKind, offset: u64, lines: u64) {
        let position = self.state.summary.position;
        let event = Event {
            seq: position.seq + 1,
            time_us: 0,
            at_us: 0,
            offset: offset.max(position.bytes),
            lines: lines.max(position.lines),
            kind,
        };
        self.state.apply(&event);
        self.events.push(event);
    }
}

fn slot(stream: dialects::Stream) -> usize {
    usize::from(stream == ERR)
}
