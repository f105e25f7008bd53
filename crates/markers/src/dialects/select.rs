//! Which dialects an execution has.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ENTRIES, Entry,
    problems::{self, Matcher},
};

/// A choice of dialects: `auto`, `none`, `native`, names, in any combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    own: bool,
    /// Dialects that are on, as bits of their place in the list.
    on: u32,
    /// Those of them that are known to be in use.
    hinted: u32,
    /// The problem matchers that there are, the user's first, and whether each is on.
    matchers: Vec<(Arc<Matcher>, bool)>,
}

/// Why a dialect is looked for, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Its lines are looked for; what counts is what cannot be anything else.
    On,
    /// It was named, or a variable says so: it is known to be in use.
    Known,
    /// Not chosen.
    Off,
    /// Only on where somebody names it.
    OptIn,
}

/// A choice that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// There is no such dialect.
    #[error(
        "there is no dialect or problem matcher `{name}`; there are auto, none, native, {}",
        all_names()
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// `none` does not go together with anything.
    #[error("`none` turns everything off and stands alone")]
    NotAlone,
}

/// The names of all dialects.
pub fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// Dialects and the matchers that the program brings along.
fn all_names() -> String {
    names().chain(problems::shipped_names()).collect::<Vec<_>>().join(", ")
}

/// The matchers that the program brings along, all on or all off.
fn shipped(on: bool) -> Vec<(Arc<Matcher>, bool)> {
    problems::shipped().iter().map(|matcher| (Arc::clone(matcher), on)).collect()
}

impl Default for Selection {
    fn default() -> Self {
        Self::auto()
    }
}

impl Selection {
    /// Own markers, and every dialect that is on by default.
    pub fn auto() -> Self {
        let on = ENTRIES.iter().enumerate().filter(|(_, entry)| !entry.opt_in);
        Self {
            own: true,
            on: on.fold(0, |on, (index, _)| on | 1 << index),
            hinted: 0,
            matchers: shipped(true),
        }
    }

    /// Nothing is recognised, own markers neither: for output that is not trusted.
    pub fn none() -> Self {
        Self { own: false, on: 0, hinted: 0, matchers: shipped(false) }
    }

    /// Own markers alone.
    pub fn native() -> Self {
        Self { own: true, on: 0, hinted: 0, matchers: shipped(false) }
    }

    /// Reads a list with commas: `auto`, `none` (alone), `native`, names (on, and known to be in
    /// use), names with a plus before them (on) or a minus (off). Without `auto` only what is named
    /// is on. Names are those of dialects and of problem matchers.
    ///
    /// # Errors
    /// [`SelectionError`] names the word that is wrong.
    pub fn parse(list: &str) -> Result<Self, SelectionError> {
        Self::parse_with(list, &BTreeMap::new())
    }

    /// The same where a user has problem matchers: texts by name. One that has the name of one that
    /// the program brings along stands in its place; one that cannot be read is left out, for
    /// [`Matcher::parse`] says why to who asks.
    ///
    /// # Errors
    /// [`SelectionError`] names the word that is wrong.
    pub fn parse_with(
        list: &str,
        matchers: &BTreeMap<String, String>,
    ) -> Result<Self, SelectionError> {
        let words: Vec<&str> = list.split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
        if words.contains(&"none") {
            return if words.len() == 1 {
                Ok(Self::none().with(matchers))
            } else {
                Err(SelectionError::NotAlone)
            };
        }
        let changes = words.iter().all(|word| word.starts_with(['-', '+']));
        let mut chosen =
            if changes || words.contains(&"auto") { Self::auto() } else { Self::native() };
        chosen = chosen.with(matchers);
        for word in words {
            let (name, off) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
            let (name, hinted) = name.strip_prefix('+').map_or((name, true), |name| (name, false));
            match (name, off) {
                ("auto" | "native", false) => continue,
                ("native", true) => {
                    chosen.own = false;
                    continue;
                }
                _ => {}
            }
            let Some(index) = names().position(|known| known == name) else {
                let mut known = chosen.matchers.iter_mut();
                if let Some((_, on)) = known.find(|(matcher, _)| matcher.name() == name) {
                    *on = !off;
                    continue;
                }
                return Err(SelectionError::Unknown { name: name.to_owned() });
            };
            if off {
                chosen.on &= !(1 << index);
                chosen.hinted &= !(1 << index);
            } else {
                chosen.on |= 1 << index;
                chosen.hinted |= u32::from(hinted) << index;
            }
        }
        Ok(chosen)
    }

    /// With a user's matchers before the others.
    fn with(mut self, texts: &BTreeMap<String, String>) -> Self {
        let on = self.matchers.iter().any(|(_, on)| *on);
        let read = |(name, text): (&String, &String)| Matcher::parse(name, text).ok();
        let mut all: Vec<_> =
            texts.iter().filter_map(read).map(|matcher| (Arc::new(matcher), on)).collect();
        self.matchers.retain(|(shipped, _)| all.iter().all(|(m, _)| m.name() != shipped.name()));
        all.append(&mut self.matchers);
        self.matchers = all;
        self
    }

    /// Takes a variable of the execution's declared environment for a hint, if a dialect's system
    /// makes itself known by it and the dialect is on, or is one that is on by hint only.
    pub fn hint_by_variable(&mut self, variable: &str) {
        if self.on == 0 {
            return;
        }
        for (index, entry) in ENTRIES.iter().enumerate() {
            if entry.variable == Some(variable) && (entry.opt_in || self.on & 1 << index != 0) {
                self.on |= 1 << index;
                self.hinted |= 1 << index;
            }
        }
    }

    /// Whether own markers count.
    pub fn own(&self) -> bool {
        self.own
    }

    /// Whether this dialect or problem matcher is on.
    pub fn has(&self, name: &str) -> bool {
        self.entries().any(|(entry, _)| entry.name == name)
            || self.matchers.iter().any(|(matcher, on)| *on && matcher.name() == name)
    }

    /// Whether this dialect is known to be in use.
    pub fn is_hinted(&self, name: &str) -> bool {
        self.entries().any(|(entry, hinted)| entry.name == name && hinted)
    }

    /// Whether dialects are on at all.
    pub fn has_dialects(&self) -> bool {
        self.on != 0 || self.matchers.iter().any(|(_, on)| *on)
    }

    /// Every dialect that there is, in the order of asking, then the problem matchers, and why each
    /// is looked for or not.
    pub fn choices(&self) -> Vec<(&str, Choice)> {
        let choice =
            |index: usize, entry: &Entry| match (self.on & 1 << index, self.hinted & 1 << index) {
                (0, _) if entry.opt_in => Choice::OptIn,
                (0, _) => Choice::Off,
                (_, 0) => Choice::On,
                _ => Choice::Known,
            };
        let all = ENTRIES.iter().enumerate();
        let matchers = self.matchers.iter();
        all.map(|(index, entry)| (entry.name, choice(index, entry)))
            .chain(matchers.map(|(m, on)| (m.name(), if *on { Choice::On } else { Choice::Off })))
            .collect()
    }

    /// The problem matchers that are on, in the order of asking.
    pub(crate) fn matchers(&self) -> Vec<Arc<Matcher>> {
        self.matchers.iter().filter(|(_, on)| *on).map(|(matcher, _)| Arc::clone(matcher)).collect()
    }

    /// The dialects that are on, in the order of asking, and whether each is known to be in use.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static Entry, bool)> {
        let on = |index: usize| self.on & 1 << index != 0;
        ENTRIES
            .iter()
            .enumerate()
            .filter(move |(index, _)| on(*index))
            .map(|(index, entry)| (entry, self.hinted & 1 << index != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(list: &str) -> (bool, Vec<(&'static str, bool)>) {
        let selection = Selection::parse(list).unwrap();
        (selection.own(), selection.entries().map(|(entry, hint)| (entry.name, hint)).collect())
    }

    #[test]
    fn a_list_adds_hints_to_auto_or_names_all_there_is() {
        assert_eq!(chosen("none"), (false, vec![]));
        assert_eq!(chosen("native"), (true, vec![]));
        assert_eq!(chosen("gitlab, github"), (true, vec![("github", true), ("gitlab", true)]));
        assert_eq!(chosen("+github,auto").1, chosen("auto").1);
        assert!(chosen("auto,github").1.contains(&("github", true)));
        assert!(chosen("auto,github").1.contains(&("gitlab", false)));
        assert!(chosen("-github").1.iter().all(|(name, _)| *name != "github"));
        assert!(!chosen("-native").0);
        assert_eq!(chosen(""), chosen("auto"));
        let unknown = Selection::parse("auto,githab").unwrap_err().to_string();
        assert!(unknown.contains("`githab`") && unknown.contains("github"), "{unknown}");
        assert_eq!(Selection::parse("none,github"), Err(SelectionError::NotAlone));
    }

    #[test]
    fn a_variable_is_a_hint_where_dialects_are_on() {
        let mut selection = Selection::auto();
        selection.hint_by_variable("GITHUB_ACTIONS");
        assert_eq!(selection, Selection::parse("auto,github").unwrap());
        let mut native = Selection::native();
        native.hint_by_variable("GITHUB_ACTIONS");
        assert_eq!(native, Selection::native());
    }
}
