//! The percentages of makefiles that CMake has written.
//!
//! Source: output of CMake 3.25's "Unix Makefiles" generator (`cmake_progress_report`).

use super::{Context, Dialect, Line, Taken, Watch};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(CmakeMake)
}

struct CmakeMake;

/// How CMake's own messages begin. A project's `COMMENT`s may say anything, and are text.
const VERBS: &[&str] = &[
    "Building ",
    "Linking ",
    "Built target ",
    "Generating ",
    "Running ",
    "Re-running ",
    "Automatic ",
    "Scanning ",
    "Creating ",
    "Performing ",
    "Completed ",
    "No ",
    "Copying ",
    "Consolidate ",
    "Swig ",
];

impl Dialect for CmakeMake {
    fn watch(&self) -> Watch {
        Watch::none().begins(&[
            "[  ", "[ 1", "[ 2", "[ 3", "[ 4", "[ 5", "[ 6", "[ 7", "[ 8", "[ 9", "[100%] ",
        ])
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let Some((value, text)) = parse(line.visible()) else { return Taken::No };
        cx.progress(cx.innermost(), Some(value.into()), text);
        Taken::Yes
    }
}

/// `[ NN%] Building …`; the number is three columns wide.
fn parse(text: &str) -> Option<(u8, &str)> {
    let (percent, text) = text.strip_prefix('[')?.split_once("%] ")?;
    let is_three = percent.len() == 3;
    let value = percent.trim_start().parse().ok().filter(|value| is_three && *value <= 100)?;
    VERBS.iter().any(|verb| text.starts_with(verb)).then_some((value, text))
}
