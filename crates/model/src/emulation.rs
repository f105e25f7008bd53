//! Systems that a script can be told it runs in.

use serde::{Deserialize, Serialize};

use crate::status::words;

words!(
    /// A system for which a script, or a helper that it uses, prints markers only where it finds itself
    /// inside of that system.
    Emulation {
        /// GitHub Actions.
        GitHub = "github",
        /// GitLab CI.
        GitLab = "gitlab",
        /// Azure Pipelines.
        Azure = "azure",
        /// TeamCity.
        TeamCity = "teamcity",
        /// Buildkite.
        Buildkite = "buildkite",
        /// Travis CI.
        Travis = "travis",
    }
);

impl Emulation {
    /// The variables by which the system makes itself known, and no more: what stands behind the others
    /// (an API, a token, a workspace) is not here. To find them declared is a hint for the dialect of
    /// this name ([`crate::Spec::dialects`]).
    pub const fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::GitHub => &[("CI", "true"), ("GITHUB_ACTIONS", "true")],
            Self::GitLab => &[("CI", "true"), ("GITLAB_CI", "true")],
            Self::Azure => &[("TF_BUILD", "True")],
            // A version, because helpers compare it; of the service messages of that year.
            Self::TeamCity => &[("TEAMCITY_VERSION", "2024.12")],
            Self::Buildkite => &[("CI", "true"), ("BUILDKITE", "true")],
            Self::Travis => &[("CI", "true"), ("TRAVIS", "true")],
        }
    }
}

#[cfg(test)]
mod tests {
    use stepflow_markers::dialects::Selection;

    use super::*;

    #[test]
    fn whoever_is_emulated_is_known_to_be_in_use() {
        for system in Emulation::ALL {
            let mut selection = Selection::default();
            assert!(!selection.is_hinted(system.as_str()));
            system.variables().iter().for_each(|(name, _)| selection.hint_by_variable(name));
            assert!(selection.is_hinted(system.as_str()), "{system}");
        }
    }
}
