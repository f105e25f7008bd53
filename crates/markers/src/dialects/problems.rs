//! Problem matchers: what compilers and linters print, described by data and not by code.
//!
//! A matcher is one or several regular expressions, for as many lines in a row, and a few literals
//! of which one must be in a line before anything is compared. All matchers of an execution are one
//! [`Dialect`] for the engine; what they say carries their own names.

mod matcher; // a file -> what it looks for

pub use self::matcher::{Fault, Matcher, MatcherError, TEXT_BYTES_MAX};

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use self::matcher::Found;
use super::{Annotation, Context, Dialect, EventKind, Line, Place, Severity, Stream, Taken, Watch};

/// Lines that one expression may match in a row.
const REPEATS_MAX: u32 = 10_000;
/// Longer lines are not compared.
const SHOWN_BYTES_MAX: usize = 8 * 1024;

/// The matchers that the program brings along: their names and their text.
const SHIPPED: [(&str, &str); 9] = [
    ("eslint", include_str!("../../problem_matchers/eslint.toml")),
    ("flake8", include_str!("../../problem_matchers/flake8.toml")),
    ("go-vet", include_str!("../../problem_matchers/go-vet.toml")),
    ("javac", include_str!("../../problem_matchers/javac.toml")),
    ("mypy", include_str!("../../problem_matchers/mypy.toml")),
    ("python", include_str!("../../problem_matchers/python.toml")),
    ("ruff", include_str!("../../problem_matchers/ruff.toml")),
    ("shellcheck", include_str!("../../problem_matchers/shellcheck.toml")),
    ("tsc", include_str!("../../problem_matchers/tsc.toml")),
];

/// The names of the matchers that the program brings along.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The matchers that the program brings along, read once.
pub(crate) fn shipped() -> &'static [Arc<Matcher>] {
    static SHIPPED_MATCHERS: OnceLock<Vec<Arc<Matcher>>> = OnceLock::new();
    let read = |(name, text): (&'static str, &str)| Matcher::parse(name, text).ok();
    SHIPPED_MATCHERS.get_or_init(|| SHIPPED.into_iter().filter_map(read).map(Arc::new).collect())
}

/// All matchers of an execution.
pub(crate) struct Problems {
    matchers: Vec<Arc<Matcher>>,
    /// By matcher: whether it has found something.
    detected: Vec<bool>,
    /// By stream: what has begun and may go on with the next line.
    begun: [Vec<Begun>; 2],
}

/// Some of a matcher's expressions have matched.
struct Begun {
    matcher: usize,
    /// The expression that the next line is compared with.
    at: usize,
    /// So many lines have matched it.
    repeats: u32,
    found: Found,
}

/// What a line means for something that has begun.
enum Step {
    /// It is not part of it.
    Over,
    /// It is, and the next one may be.
    Goes,
    /// It completes this problem; whether the next one may complete another.
    Completes(Found, bool),
}

impl Problems {
    pub(crate) fn new(matchers: Vec<Arc<Matcher>>) -> Self {
        Self { detected: vec![false; matchers.len()], matchers, begun: [Vec::new(), Vec::new()] }
    }

    /// There are no matchers.
    pub(crate) fn is_empty(&self) -> bool {
        self.matchers.is_empty()
    }

    /// The words of which one is in every line that begins something.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.matchers.iter().flat_map(|matcher| matcher.literals())
    }

    /// What a line begins, and what it already completes.
    fn begin(&self, index: usize, line: &Line<'_>) -> Option<(Option<Begun>, Option<Found>)> {
        let matcher = &self.matchers[index];
        if !matcher.is_wanted(line.raw()) {
            return None;
        }
        let mut begun = Begun { matcher: index, at: 0, repeats: 0, found: Found::default() };
        if matcher.looks_back() {
            let before = Line::new(line.before?, Place::default());
            if !matches!(begun.step(matcher, before.visible()), Step::Goes) {
                return None;
            }
        }
        match begun.step(matcher, line.visible()) {
            Step::Over => None,
            Step::Goes => Some((Some(begun), None)),
            Step::Completes(found, goes_on) => Some((goes_on.then_some(begun), Some(found))),
        }
    }

    fn say(&mut self, index: usize, found: &Found, cx: &mut Context<'_>) {
        let matcher = &self.matchers[index];
        cx.name = Cow::Owned(matcher.name().to_owned());
        if !std::mem::replace(&mut self.detected[index], true) {
            cx.say(EventKind::Detected);
        }
        cx.annotation(found.annotation(matcher.severity()));
    }
}

impl Begun {
    fn step(&mut self, matcher: &Matcher, text: &str) -> Step {
        if text.len() > SHOWN_BYTES_MAX {
            return Step::Over;
        }
        loop {
            let Some(pattern) = matcher.pattern(self.at) else { return Step::Over };
            let is_last = self.at + 1 == matcher.length();
            // Several problems of one file share what was said before them, and no more.
            let mut found = self.found.clone();
            if self.repeats < REPEATS_MAX && pattern.find(text, &mut found) {
                if is_last {
                    self.repeats += 1;
                    return Step::Completes(found, pattern.repeats());
                }
                self.found = found;
                if pattern.repeats() {
                    self.repeats += 1;
                } else {
                    self.next();
                }
                return Step::Goes;
            }
            if is_last || self.repeats == 0 {
                return Step::Over;
            }
            self.next(); // As often as it could; perhaps it is the line behind.
        }
    }

    fn next(&mut self) {
        self.at += 1;
        self.repeats = 0;
    }
}

impl Dialect for Problems {
    fn watch(&self) -> Watch {
        Watch::none() // The engine looks for the literals itself.
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let mut taken = Taken::No;
        for index in 0..self.matchers.len() {
            let Some((begun, found)) = self.begin(index, line) else { continue };
            if let Some(begun) = begun {
                self.begun[slot(cx.place.stream)].push(begun);
                cx.await_next();
            }
            if let Some(found) = found {
                self.say(index, &found, cx);
                taken = Taken::Yes;
                break; // A line is one problem.
            }
        }
        taken
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let slot = slot(cx.place.stream);
        let mut taken = Taken::No;
        for mut begun in std::mem::take(&mut self.begun[slot]) {
            let Some(line) = line.filter(|_| taken == Taken::No) else { continue };
            let matcher = Arc::clone(&self.matchers[begun.matcher]);
            let goes_on = match begun.step(&matcher, line.visible()) {
                Step::Over => false,
                Step::Goes => true,
                Step::Completes(found, goes_on) => {
                    self.say(begun.matcher, &found, cx);
                    taken = Taken::Yes;
                    goes_on
                }
            };
            if goes_on {
                self.begun[slot].push(begun);
                cx.await_next();
            }
        }
        taken
    }
}

fn slot(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

impl Found {
    fn annotation(&self, usual: Severity) -> Annotation {
        let code = self.code.clone();
        Annotation {
            severity: self.severity.unwrap_or(usual),
            // What has no words has a name.
            message: self.message.clone().or_else(|| code.clone()).unwrap_or_default(),
            file: self.file.clone(),
            line: self.line,
            col: self.col.filter(|_| self.line.is_some()),
            end_line: self.end_line,
            end_col: self.end_col,
            code,
            ..Annotation::default()
        }
    }
}
