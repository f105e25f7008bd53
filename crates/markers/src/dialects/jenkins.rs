//! Jenkins Pipeline consoles: stored logs have these lines, scripts do not print them.
//!
//! Source: `jenkinsci/workflow-job-plugin`, `NewNodeConsoleNote.java`.

use super::{Annotation, Context, Dialect, Line, StepId, StepStatus, Taken, Watch, tree::Label};

/// Braces are nested at most so deep.
const DEPTH_MAX: usize = 1_000;

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Jenkins { hinted, braces: Vec::new(), too_deep: 0 })
}

struct Jenkins {
    hinted: bool,
    /// The open braces, each with the step that it opened.
    braces: Vec<Option<StepId>>,
    too_deep: usize,
}

impl Dialect for Jenkins {
    fn watch(&self) -> Watch {
        if !self.hinted {
            return Watch::none();
        }
        Watch::none().begins(&["[Pipeline] ", "Stage \"", "Finished: ", "ERROR: "])
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if let Some(what) = text.strip_prefix("[Pipeline] ") {
            self.brace(what, cx);
            return Taken::Yes;
        }
        if let Some(name) =
            text.strip_prefix("Stage \"").and_then(|rest| rest.split_once("\" skipped due to "))
        {
            if let Some(step) = cx.find_label(Label::new("stage", name.0)) {
                cx.settle(step, StepStatus::Skipped);
            }
            return Taken::No; // It is a line of the stage as well.
        }
        if let Some(result) = text.strip_prefix("Finished: ") {
            let word = result.trim_end();
            if !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            {
                cx.meta("result", word);
                return Taken::Yes;
            }
        }
        if let Some(message) = text.strip_prefix("ERROR: ") {
            let message = message.to_owned();
            cx.annotation(Annotation { message, ..Annotation::default() });
            return Taken::Yes;
        }
        Taken::No
    }
}

impl Jenkins {
    fn brace(&mut self, what: &str, cx: &mut Context<'_>) {
        if what == "}" {
            if self.too_deep > 0 {
                self.too_deep -= 1;
            } else if let Some(Some(step)) = self.braces.pop() {
                let skipped = cx.get(step).and_then(|open| open.verdict);
                cx.end(step, skipped.unwrap_or(StepStatus::Done), None);
            }
            return;
        }
        let label = what.strip_prefix("{ (").and_then(|label| label.trim_end().strip_suffix(')'));
        if what.trim_end() != "{" && label.is_none() {
            return;
        }
        if self.braces.len() == DEPTH_MAX {
            self.too_deep += 1;
            return;
        }
        let step = label.and_then(|label| cx.start(Label::new("stage", label), label, Vec::new()));
        self.braces.push(step);
    }
}
