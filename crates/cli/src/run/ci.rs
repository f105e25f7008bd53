//! CI systems: how each of them marks groups of lines and annotations in a log.
//!
//! Sources: docs.github.com "Workflow commands for GitHub Actions"; docs.gitlab.com "Custom
//! collapsible sections"; buildkite.com/docs "Managing log output"; learn.microsoft.com "Logging
//! commands" (Azure Pipelines) and its agent's escaping; jetbrains.com "Service messages" (TeamCity).

/// A CI system that shows our output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ci {
    GitHub,
    GitLab,
    Buildkite,
    Azure,
    TeamCity,
}

impl Ci {
    /// The one whose documented variable is set.
    pub fn detect(environment: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let is = |name: &str, value: &str| {
            environment(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        if is("GITHUB_ACTIONS", "true") {
            Some(Self::GitHub)
        } else if is("GITLAB_CI", "true") {
            Some(Self::GitLab)
        } else if is("BUILDKITE", "true") {
            Some(Self::Buildkite)
        } else if is("TF_BUILD", "true") {
            Some(Self::Azure)
        } else if environment("TEAMCITY_VERSION").is_some_and(|value| !value.is_empty()) {
            Some(Self::TeamCity)
        } else {
            None
        }
    }

    /// Whether a group may stand in a group.
    pub fn nests(self) -> bool {
        matches!(self, Self::GitLab | Self::TeamCity)
    }

    /// Opens a group. `id` is unique in the log; it and `time_s` (Unix) are what GitLab wants.
    pub fn open(self, title: &str, id: &str, time_s: i64) -> String {
        match self {
            Self::GitHub => format!("::group::{}", github_data(title)),
            Self::GitLab => {
                format!("\x1b[0Ksection_start:{time_s}:{id}\r\x1b[0K{}", one_line(title))
            }
            Self::Buildkite => format!("--- {}", one_line(title)),
            Self::Azure => format!("##[group]{}", one_line(title)),
            Self::TeamCity => format!("##teamcity[blockOpened name='{}']", teamcity(title)),
        }
    }

    /// Closes it. Nothing where the next group closes it.
    pub fn close(self, title: &str, id: &str, time_s: i64) -> Option<String> {
        match self {
            Self::GitHub => Some("::endgroup::".to_owned()),
            Self::GitLab => Some(format!("\x1b[0Ksection_end:{time_s}:{id}\r\x1b[0K")),
            Self::Buildkite => None,
            Self::Azure => Some("##[endgroup]".to_owned()),
            Self::TeamCity => Some(format!("##teamcity[blockClosed name='{}']", teamcity(title))),
        }
    }

    /// Said inside a group that failed, before its end: it is to be seen.
    pub fn unfold(self) -> Option<&'static str> {
        (self == Self::Buildkite).then_some("^^^ +++")
    }

    /// Opens what stands outside of all groups, where a group has no end of its own.
    pub fn outside(self) -> Option<&'static str> {
        (self == Self::Buildkite).then_some("~~~ StepFlow")
    }

    /// An error of a step.
    pub fn error(self, title: &str, message: &str) -> Option<String> {
        match self {
            Self::GitHub => {
                let (title, message) = (github_property(title), github_data(message));
                Some(format!("::error title={title}::{message}"))
            }
            Self::Azure => {
                let message = azure_data(&format!("{title}: {message}"));
                Some(format!("##vso[task.logissue type=error]{message}"))
            }
            Self::TeamCity => {
                let message = teamcity(&format!("{title}: {message}"));
                Some(format!("##teamcity[message text='{message}' status='ERROR']"))
            }
            Self::GitLab | Self::Buildkite => None,
        }
    }

    /// A warning.
    pub fn warning(self, message: &str) -> Option<String> {
        match self {
            Self::GitHub => Some(format!("::warning::{}", github_data(message))),
            Self::Azure => {
                Some(format!("##vso[task.logissue type=warning]{}", azure_data(message)))
            }
            Self::TeamCity => {
                Some(format!("##teamcity[message text='{}' status='WARNING']", teamcity(message)))
            }
            Self::GitLab | Self::Buildkite => None,
        }
    }

    /// The whole has failed.
    pub fn problem(self, name: &str, why: &str) -> Option<String> {
        match self {
            // Of at most 4000 characters; the agent cuts.
            Self::TeamCity => {
                let text = teamcity(&format!("{name}: {why}"));
                Some(format!("##teamcity[buildProblem description='{text}']"))
            }
            _ => self.error(name, why),
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

fn github_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn github_property(text: &str) -> String {
    github_data(text).replace(':', "%3A").replace(',', "%2C")
}

fn azure_data(text: &str) -> String {
    text.replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

fn teamcity(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\'' | '[' | ']' => escaped.extend(['|', c]),
            '\n' => escaped.push_str("|n"),
            '\r' => escaped.push_str("|r"),
            '\u{85}' => escaped.push_str("|x"),
            '\u{2028}' => escaped.push_str("|l"),
            '\u{2029}' => escaped.push_str("|p"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                // UTF-16, as Java counts.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("|0x{unit:04X}"));
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_documented_variable() {
        let of = |name: &str, value: &str| {
            Ci::detect(&|asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("GITHUB_ACTIONS", "true"), Some(Ci::GitHub));
        assert_eq!(of("GITLAB_CI", "true"), Some(Ci::GitLab));
        assert_eq!(of("BUILDKITE", "true"), Some(Ci::Buildkite));
        assert_eq!(of("TF_BUILD", "True"), Some(Ci::Azure));
        assert_eq!(of("TEAMCITY_VERSION", "2025.11 (build 1)"), Some(Ci::TeamCity));
        assert_eq!(of("GITHUB_ACTIONS", "false"), None);
        assert_eq!(of("CI", "true"), None);
    }

    #[test]
    fn nothing_that_a_script_says_ends_a_command_early_or_makes_another() {
        let bad = "50%: a,b]|'\r\n::error::x ##vso[x]";
        assert_eq!(
            Ci::GitHub.error(bad, bad).unwrap(),
            "::error title=50%25%3A a%2Cb]|'%0D%0A%3A%3Aerror%3A%3Ax ##vso[x]::\
             50%25: a,b]|'%0D%0A::error::x ##vso[x]"
        );
        assert_eq!(
            Ci::Azure.warning(bad).unwrap(),
            "##vso[task.logissue type=warning]50%AZP25: a,b]|'%0D%0A::error::x ##vso[x]"
        );
        assert_eq!(
            Ci::TeamCity.open(bad, "", 0),
            "##teamcity[blockOpened name='50%: a,b|]|||'|r|n::error::x ##vso|[x|]']"
        );
        assert_eq!(teamcity("日😀"), "|0x65E5|0xD83D|0xDE00");
        for ci in [Ci::GitHub, Ci::GitLab, Ci::Buildkite, Ci::Azure, Ci::TeamCity] {
            assert!(!ci.open(bad, "s1", 0).contains('\n'), "{ci:?}");
        }
    }
}
