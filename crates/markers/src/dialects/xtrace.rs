//! What shells print of the commands they run: `set -x`. Only where somebody asks for it, because
//! every command becomes a step.
//!
//! Source: POSIX.1-2024, `set -x` and `PS4` (`+ ` by default); bash repeats its first character for
//! each level of nesting.

use super::{Cause, Context, Dialect, Line, StepStatus, Stream, Taken, Watch, tree::Label};

/// A step's name shows so many characters of its command.
const NAME_CHARS_MAX: usize = 200;

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Xtrace { hinted })
}

struct Xtrace {
    hinted: bool,
}

impl Dialect for Xtrace {
    fn watch(&self) -> Watch {
        if self.hinted { Watch::none().begins(&["+ "]) } else { Watch::none() }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        // Traces go to standard error; one pipe for both leaves no way to tell.
        if line.stream() == Stream::Stdout {
            return Taken::No;
        }
        let Some(command) = line.visible().strip_prefix("+ ") else { return Taken::No };
        if command.trim().is_empty() {
            return Taken::No;
        }
        // Steps that the command itself announced, by `echo ::group::` say, are not over with it.
        if let Some(before) = cx.find_kind("command")
            && !cx.has_markers_inside(before)
        {
            cx.end_by(before, StepStatus::Done, None, Cause::Next);
        }
        let name = match command.char_indices().nth(NAME_CHARS_MAX) {
            Some((end, _)) => &command[..end],
            None => command,
        };
        match cx.start(Label::new("command", ""), name, Vec::new()) {
            Some(_) => Taken::Yes,
            None => Taken::No,
        }
    }
}
