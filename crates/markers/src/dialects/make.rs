//! GNU make: the directories of recursive makes, and the errors.
//!
//! Source: GNU make manual, "The `--print-directory` option" and "Errors in recipes".

use super::{
    Annotation, Context, Dialect, Line, StepId, StepStatus, Taken, Watch, tree::Label,
    words::split_while,
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Make::default())
}

/// At most so many levels are told apart; make itself has no limit.
const LEVEL_MAX: u32 = 1_000;

#[derive(Default)]
struct Make {
    /// Levels at which an error was printed while several directories were open: which of them it
    /// was is known when the make around it says so, just after that one was left.
    unsure: Vec<u32>,
    /// The directory that was left last, and its level.
    left: Option<(u32, StepId)>,
}

impl Dialect for Make {
    fn watch(&self) -> Watch {
        Watch::none().begins(&["make: ", "make[", "gmake: ", "gmake[", "Makefile:", "GNUmakefile:"])
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if let Some((annotation, _)) = in_makefile(text) {
            cx.annotation(annotation);
            return Taken::Yes;
        }
        let Some((level, text)) = header(text) else { return Taken::No };
        if let Some(directory) = quoted(text, "Entering directory ") {
            return enter(level, directory, cx);
        }
        if let Some(directory) = quoted(text, "Leaving directory ") {
            return self.leave(level, directory, cx);
        }
        match text.strip_prefix("*** ").and_then(error) {
            Some(annotation) => {
                self.failed(level, annotation, cx);
                Taken::Yes
            }
            None => Taken::No,
        }
    }
}

impl Make {
    fn leave(&mut self, level: u32, directory: &str, cx: &mut Context<'_>) -> Taken {
        if let Some(step) = cx.find_label(label(level, directory)) {
            let verdict = cx.get(step).and_then(|open| open.verdict);
            cx.end(step, verdict.unwrap_or(StepStatus::Done), None);
            self.left = Some((level, step));
        }
        Taken::Yes
    }

    fn failed(&mut self, level: u32, annotation: Annotation, cx: &mut Context<'_>) {
        if let Some((inner, step)) = self.left.take()
            && inner > level
            && let Some(at) = self.unsure.iter().position(|unsure| *unsure == inner)
        {
            self.unsure.swap_remove(at);
            cx.end_again(step, StepStatus::Failure, None);
        }
        let step = at_level(level, cx);
        if let Some(step) = step {
            let lane = u64::from(level);
            if cx.find(|open| open.label.lane == lane && open.id != step).is_none() {
                cx.settle(step, StepStatus::Failure);
            } else if !self.unsure.contains(&level) {
                self.unsure.push(level);
            }
        }
        cx.annotation(Annotation { step, ..annotation });
    }
}

fn enter(level: u32, directory: &str, cx: &mut Context<'_>) -> Taken {
    let lower = (0..level).rev().find_map(|lower| at_level(lower, cx));
    let parent = lower.or_else(|| cx.outside());
    let params = vec![("level".to_owned(), level.to_string())];
    match cx.start_inside(parent, label(level, directory), directory, params) {
        Some(_) => Taken::Yes,
        None => Taken::No,
    }
}

fn label(level: u32, directory: &str) -> Label {
    Label::new("directory", directory).in_lane(u64::from(level))
}

/// The newest open directory of a level.
fn at_level(level: u32, cx: &Context<'_>) -> Option<StepId> {
    cx.find(|open| open.label.lane == u64::from(level))
}

/// `make[N]: text` or `gmake: text`: the level and the text.
fn header(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix('g').unwrap_or(text).strip_prefix("make")?;
    if let Some(text) = rest.strip_prefix(": ") {
        return Some((0, text));
    }
    let (level, rest) = split_while(rest.strip_prefix('[')?, |c| c.is_ascii_digit())?;
    let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
    Some((level, rest.strip_prefix("]: ")?))
}

/// What stands in quotes, of either age, behind `word` and up to the end.
fn quoted<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?.strip_prefix(['\'', '`', '‘'])?;
    rest.strip_suffix(['\'', '’']).filter(|directory| !directory.is_empty())
}

/// What stands behind `*** `; `None` for what is no error of its own.
fn error(text: &str) -> Option<Annotation> {
    let text = text.trim_end();
    let text = text.strip_suffix(".  Stop.").unwrap_or(text);
    if text.is_empty() || text.starts_with("Waiting for ") || text.starts_with("Deleting ") {
        return None;
    }
    let plain = Annotation { message: text.to_owned(), ..Annotation::default() };
    let placed = || {
        let (inside, why) = text.strip_prefix('[')?.split_once(']')?;
        let (place, target) = inside.split_once(": ")?;
        let (file, line) = place.rsplit_once(':')?;
        let line = line.parse().ok()?;
        let message = format!("[{target}]{why}");
        Some(Annotation { message, file: Some(file.to_owned()), line: Some(line), ..plain.clone() })
    };
    Some(placed().unwrap_or_else(|| plain.clone()))
}

/// `Makefile:LINE: *** text`: make cannot read it.
fn in_makefile(text: &str) -> Option<(Annotation, &str)> {
    let (place, rest) = text.split_once(": *** ")?;
    let (file, line) = place.rsplit_once(':')?;
    let is_makefile = matches!(file, "Makefile" | "makefile" | "GNUmakefile");
    let line = line.parse().ok().filter(|_| is_makefile)?;
    let annotation = error(rest)?;
    Some((Annotation { file: Some(file.to_owned()), line: Some(line), ..annotation }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_place_where_make_says_it() {
        let of = |text: &str| {
            let (_, text) = header(text).unwrap();
            let found = error(text.strip_prefix("*** ").unwrap())?;
            Some((found.message, found.file, found.line))
        };
        let placed = |message: &str, file: &str, line| {
            Some((message.to_owned(), Some(file.to_owned()), Some(line)))
        };
        let plain = |message: &str| Some((message.to_owned(), None, None));
        assert_eq!(
            of("make: *** [sub/x.mk:3: all] Error 2"),
            placed("[all] Error 2", "sub/x.mk", 3)
        );
        assert_eq!(
            of("make[2]: *** [Makefile:5: t] Segmentation fault (core dumped)"),
            placed("[t] Segmentation fault (core dumped)", "Makefile", 5)
        );
        assert_eq!(of("gmake: *** [t] Interrupt"), plain("[t] Interrupt"));
        assert_eq!(of("make: *** No targets.  Stop."), plain("No targets"));
        assert_eq!(of("make: *** Waiting for unfinished jobs...."), None);
        assert_eq!(of("make: *** Deleting file 'x'"), None);
    }

    #[test]
    fn a_header_has_a_level() {
        assert_eq!(header("make: x"), Some((0, "x")));
        assert_eq!(header("gmake[12]: x"), Some((12, "x")));
        for other in ["make[]: x", "make[x]: x", "make[99999999999]: x", "makes: x", "make:x"] {
            assert_eq!(header(other), None, "{other}");
        }
    }
}
