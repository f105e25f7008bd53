//! Rules, and which of them an execution falls under.

use std::time::Duration;

/// What one kind of executions may take up. A rule without any limit keeps for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Only executions with this tag.
    pub tag: Option<String>,
    /// Only executions whose name this pattern covers: `*` stands for any text, `?` for one
    /// character.
    pub name: Option<String>,
    /// How long after its end one is kept.
    pub max_age: Option<Duration>,
    /// How many of them are kept, the newest.
    pub max_count: Option<u64>,
    /// How many bytes of output and artifacts of them are kept, the newest first.
    pub max_bytes: Option<u64>,
}

/// The rules in order: the first that an execution falls under decides. One that falls under none,
/// one that is pinned, and one that has not ended, is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// Rules that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A rule for everything stands before others.
    #[error("rule {0} is for every execution, so that the rules behind it are never looked at")]
    Hidden(usize),
    /// So many rules are a mistake.
    #[error("at most {RULES_MAX} rules")]
    TooMany,
    /// A pattern or tag without a character covers nothing.
    #[error("rule {0}: an empty tag or name covers nothing")]
    Empty(usize),
}

/// Most rules of a policy: each execution is held against all of them.
const RULES_MAX: usize = 100;

impl Policy {
    /// Checks the rules.
    pub fn new(rules: Vec<Rule>) -> Result<Self, PolicyError> {
        if rules.len() > RULES_MAX {
            return Err(PolicyError::TooMany);
        }
        for (at, rule) in rules.iter().enumerate() {
            if [&rule.tag, &rule.name].into_iter().flatten().any(String::is_empty) {
                return Err(PolicyError::Empty(at + 1));
            }
            if rule.tag.is_none() && rule.name.is_none() && at + 1 < rules.len() {
                return Err(PolicyError::Hidden(at + 1));
            }
        }
        Ok(Self { rules })
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether any rule can let go of anything.
    pub fn has_limits(&self) -> bool {
        self.rules.iter().any(|rule| {
            rule.max_age.is_some() || rule.max_count.is_some() || rule.max_bytes.is_some()
        })
    }

    /// The place of the rule that decides over an execution with this name and these tags.
    pub(crate) fn of(&self, name: &str, tags: &[String]) -> Option<usize> {
        self.rules.iter().position(|rule| {
            rule.tag.as_ref().is_none_or(|tag| tags.contains(tag))
                && rule.name.as_ref().is_none_or(|pattern| covers(pattern, name))
        })
    }
}

/// Whether `pattern` covers all of `text`. Linear in their product at worst, whatever the stars.
fn covers(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None; // Behind the last star, and where in the text it has been tried.
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((behind, tried)) => {
                    (p, t) = (behind, tried + 1);
                    star = Some((behind, tried + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(tag: Option<&str>, name: Option<&str>) -> Rule {
        Rule { tag: tag.map(Into::into), name: name.map(Into::into), ..Rule::default() }
    }

    #[test]
    fn a_pattern_covers_whole_names() {
        for (pattern, name, covered) in [
            ("build", "build", true),
            ("build", "builds", false),
            ("build*", "build-7", true),
            ("*", "", true),
            ("?", "", false),
            ("*-?", "nightly-7", true),
            ("*-?", "nightly-17", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
            ("建?", "建置", true),
            ("[a]", "a", false), // No classes: a bracket is a bracket.
        ] {
            assert_eq!(covers(pattern, name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_rule_that_covers_decides() {
        let rules = vec![rule(Some("keep"), None), rule(None, Some("nightly*")), rule(None, None)];
        let policy = Policy::new(rules).unwrap();
        assert_eq!(policy.of("nightly", &["keep".into()]), Some(0));
        assert_eq!(policy.of("nightly", &[]), Some(1));
        assert_eq!(policy.of("other", &[]), Some(2));
        let policy = Policy::new(vec![rule(Some("a"), Some("b"))]).unwrap();
        assert_eq!(policy.of("b", &[]), None, "both conditions must hold");
        assert_eq!(policy.of("b", &["a".into()]), Some(0));
    }

    #[test]
    fn rules_that_cannot_be_meant_are_refused() {
        let hidden = vec![rule(None, None), rule(Some("a"), None)];
        assert_eq!(Policy::new(hidden), Err(PolicyError::Hidden(1)));
        assert_eq!(Policy::new(vec![rule(Some(""), None)]), Err(PolicyError::Empty(1)));
        assert_eq!(Policy::new(vec![rule(Some("a"), None); 101]), Err(PolicyError::TooMany));
    }

    /// The obvious way, which takes exponential time.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', behind)), None) => plainly(behind, text),
            (Some(('*', behind)), Some((_, rest))) => {
                plainly(behind, text) || plainly(pattern, rest)
            }
            (Some((c, behind)), Some((d, rest))) => (*c == '?' || c == d) && plainly(behind, rest),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn covers_as_the_obvious_way_does(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(covers(&pattern, &text), plainly(&chars(&pattern), &chars(&text)));
        }
    }
}
