use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::ExecutionId;

/// What to run, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "`command` must be a string or a list of strings")]
pub enum Command {
    /// One text, split by shell quoting, or given to a shell with `shell`.
    Text(String),
    /// The argument vector, taken as it is.
    Args(Vec<String>),
}

/// When output is made durable: at the latest a second after it was recorded, before anybody sees
/// it, or with the next step, artifact or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", expecting = "`log_sync` must be interval, always or never")]
pub enum LogSync {
    /// After a second or 4 MiB, whichever is first.
    Interval,
    /// Before anybody sees it.
    Always,
    /// With the next step, artifact or end.
    Never,
}

impl From<LogSync> for stepflow_model::LogSync {
    fn from(mode: LogSync) -> Self {
        match mode {
            LogSync::Interval => Self::Interval,
            LogSync::Always => Self::Always,
            LogSync::Never => Self::Never,
        }
    }
}

/// How the processes of a script are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", expecting = "`containment` must be auto, cgroup or keeper")]
pub enum Containment {
    /// In a control group where that can be, else below the keeper.
    Auto,
    /// In a control group, or not started at all.
    Cgroup,
    /// Below the keeper.
    Keeper,
}

impl From<Containment> for stepflow_model::Containment {
    fn from(wanted: Containment) -> Self {
        match wanted {
            Containment::Auto => Self::Auto,
            Containment::Cgroup => Self::Cgroup,
            Containment::Keeper => Self::Keeper,
        }
    }
}

/// What becomes of processes that hold the output after the script's first process has ended, and
/// after the drain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", expecting = "`leftover` must be kill or leave")]
pub enum Leftover {
    /// They are ended.
    Kill,
    /// They go on unrecorded.
    Leave,
}

impl From<Leftover> for stepflow_model::Leftover {
    fn from(wanted: Leftover) -> Self {
        match wanted {
            Leftover::Kill => Self::Kill,
            Leftover::Leave => Self::Leave,
        }
    }
}

/// What is done about output that would outgrow its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", expecting = "`log_full` must be keep-ends, block or stop")]
pub enum LogFull {
    /// The first and the newest half stay, the middle goes.
    KeepEnds,
    /// The script waits until somebody stops it.
    Block,
    /// The script is stopped.
    Stop,
}

impl From<LogFull> for stepflow_model::LogFull {
    fn from(wanted: LogFull) -> Self {
        match wanted {
            LogFull::KeepEnds => Self::KeepEnds,
            LogFull::Block => Self::Block,
            LogFull::Stop => Self::Stop,
        }
    }
}

/// A system that a script can be told it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "lowercase",
    expecting = "`emulate` must hold github, gitlab, azure, teamcity, buildkite or travis"
)]
pub enum Emulation {
    /// GitHub Actions, with its environment files.
    GitHub,
    /// GitLab CI.
    GitLab,
    /// Azure Pipelines.
    Azure,
    /// TeamCity.
    TeamCity,
    /// Buildkite.
    Buildkite,
    /// Travis CI.
    Travis,
}

impl From<Emulation> for stepflow_model::Emulation {
    fn from(wanted: Emulation) -> Self {
        match wanted {
            Emulation::GitHub => Self::GitHub,
            Emulation::GitLab => Self::GitLab,
            Emulation::Azure => Self::Azure,
            Emulation::TeamCity => Self::TeamCity,
            Emulation::Buildkite => Self::Buildkite,
            Emulation::Travis => Self::Travis,
        }
    }
}

/// What becomes of a script whose output the disk does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", expecting = "`on_disk_full` must be block, kill or drop")]
pub enum OnDiskFull {
    /// It waits and goes on by itself.
    Block,
    /// It is stopped after a moment.
    Kill,
    /// It never waits: what the disk does not take is missing in the record, which says so.
    Drop,
}

impl From<OnDiskFull> for stepflow_model::OnDiskFull {
    fn from(wanted: OnDiskFull) -> Self {
        match wanted {
            OnDiskFull::Block => Self::Block,
            OnDiskFull::Kill => Self::Kill,
            OnDiskFull::Drop => Self::Drop,
        }
    }
}

/// `POST /api/executions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "ts", ts(optional_fields))]
#[cfg_attr(feature = "schema", schemars(extend("required" = ["command"])))]
pub struct CreateRequest {
    /// What to run; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(as = "Command"))] // without it, a problem says so
    #[cfg_attr(feature = "schema", schemars(with = "Command"))]
    pub command: Option<Command>,
    /// For people; the command if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where to run it; the server's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Added to the environment of the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "Record<string, string>", optional))]
    pub environment: Option<BTreeMap<String, String>>,
    /// Names in `environment` whose values are kept out of everything that is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_env: Option<Vec<String>>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Kept with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>", optional))]
    pub metadata: Option<Map<String, Value>>,
    /// Seconds after which it is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 1_000_000_000.0)))]
    pub timeout: Option<f64>,
    /// Who it is for, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Stop the script at the first STEP_ERROR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_error: Option<bool>,
    /// Keep standard error apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_stderr: Option<bool>,
    /// Give a command of one text to `/bin/sh -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<bool>,
    /// Give it a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pty: Option<bool>,
    /// When its output is made durable; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_sync: Option<LogSync>,
    /// How its processes are held together; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// What becomes of those who hold its output after its end; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leftover: Option<Leftover>,
    /// What becomes of it when the disk does not take its output; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disk_full: Option<OnDiskFull>,
    /// Seconds for which their output is still recorded; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 3600.0)))]
    pub drain_timeout: Option<f64>,
    /// Bytes of output that are kept, about: 0 for all, or at least 1 MiB; as the server does it if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "number", optional))]
    pub log_max_bytes: Option<u64>,
    /// What is done when there would be more; as the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_full: Option<LogFull>,
    /// Whose markers its output may hold, a list with commas: `auto`, `none`, `native`, `github`, ….
    /// As the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Systems whose variables the script finds, so that helpers print their markers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulate: Option<Vec<Emulation>>,
    /// Which files below its directory hold results of tests in JUnit's form, as patterns; read when
    /// it has ended. As the server does it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub junit: Option<Vec<String>>,
    /// Answer when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// `POST /api/executions/{id}/rerun`. The body may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "ts", ts(optional_fields))]
pub struct RerunRequest {
    /// Added to what the original was declared with; secrets must be given again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "Record<string, string>", optional))]
    pub environment: Option<BTreeMap<String, String>>,
    /// Answer when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// `PATCH /api/executions/{id}`: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "ts", ts(optional_fields))]
pub struct LabelRequest {
    /// Another name, of 1 to 4,096 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: Option<String>,
    /// All its tags, in place of those it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// The answer to [`CreateRequest`] and [`RerunRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateAnswer {
    /// The execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: ExecutionId,
    /// The same again, as documented by the original.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// Where it stands.
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Status"))]
    pub status: String,
    /// In words.
    pub message: String,
    /// As it was given, or the command.
    pub name: String,
    /// When it was accepted.
    pub created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_text_or_a_list_and_nothing_else() {
        let parse = |text: &str| serde_json::from_str::<CreateRequest>(text);
        assert_eq!(
            parse(r#"{"command":"a b"}"#).unwrap().command,
            Some(Command::Text("a b".to_owned()))
        );
        assert!(parse(r#"{"command":["a"],"timeout":1.5,"name":null}"#).is_ok());
        for bad in [r#"{"command":1}"#, r#"{"command":[1]}"#, r#"{"comand":"a"}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse(r#"{"command":7}"#).unwrap_err().to_string();
        assert!(error.contains("a string or a list of strings"), "{error}");
    }
}
