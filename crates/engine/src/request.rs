//! What to run, as a caller says it, to a spec: checked once, here.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Map, Value};
use stepflow_model::{
    Containment, DialectsError, Emulation, ExecutionId, JunitFiles, JunitGlobError,
    LOG_MAX_BYTES_DEFAULT, LOG_MAX_BYTES_MIN, Leftover, LogFull, LogSync, OnDiskFull, Source, Spec,
    TerminalSize,
};

use crate::{
    command::{CommandError, split},
    environment,
};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 4096;
/// Most tags, and the longest one in bytes.
const TAGS_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 256;
/// Longest time limit: ten years. More is a mistake.
const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);
/// Longest drain time.
const DRAIN_MAX: Duration = Duration::from_secs(3_600);

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// One text: split by shell quoting, or given to `/bin/sh -c` with [`NewExecution::shell`].
    Text(String),
    /// The argument vector, taken as it is.
    Args(Vec<String>),
}

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewExecution {
    /// What to run.
    pub command: CommandLine,
    /// Shown to people; the command's text if absent or empty.
    pub name: Option<String>,
    /// The engine's own if absent; a relative path begins there.
    pub working_directory: Option<String>,
    /// The declared environment, secrets included.
    pub environment: BTreeMap<String, String>,
    /// Names of `environment` whose values never reach the record.
    pub mask_env: Vec<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// Free data.
    pub metadata: Map<String, Value>,
    /// Time limit for the whole run.
    pub timeout: Option<Duration>,
    /// Who asks.
    pub user: String,
    /// A failed step stops the script.
    pub stop_on_error: bool,
    /// Keep standard error apart.
    pub split_stderr: bool,
    /// Run the text with `/bin/sh -c`.
    pub shell: bool,
    /// Give the script a terminal, 80 by 24 until somebody attaches with another.
    pub pty: bool,
    /// When its output is made durable; as the engine does it if absent.
    pub log_sync: Option<LogSync>,
    /// How its processes are held together; as the engine does it if absent.
    pub containment: Option<Containment>,
    /// What becomes of those who hold its output after its end; as the engine does it if absent.
    pub leftover: Option<Leftover>,
    /// What becomes of it when the disk does not take its output; as the engine does it if absent.
    pub on_disk_full: Option<OnDiskFull>,
    /// How long their output is still recorded; as the engine does it if absent.
    pub drain_timeout: Option<Duration>,
    /// Bytes of output that are kept, 0 for all; as the engine does it if absent.
    pub log_max_bytes: Option<u64>,
    /// What is done when there would be more; as the engine does it if absent.
    pub log_full: Option<LogFull>,
    /// Whose markers its output may hold; as the engine does it if absent.
    pub dialect: Option<String>,
    /// Systems whose variables the script finds.
    pub emulate: Vec<Emulation>,
    /// Problems that somebody has described; the engine's, whoever asks.
    pub problem_matchers: BTreeMap<String, String>,
    /// Which files hold results of tests; as the engine does it if absent.
    pub junit: Option<JunitFiles>,
}

/// What holds for executions that do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usual {
    /// How processes are held together.
    pub containment: Containment,
    /// What becomes of those who hold the output after the end.
    pub leftover: Leftover,
    /// What becomes of a script whose output the disk does not take.
    pub on_disk_full: OnDiskFull,
    /// How long their output is still recorded.
    pub drain_timeout: Duration,
    /// Bytes of output that are kept; 0: all.
    pub log_max_bytes: u64,
    /// What is done when there would be more.
    pub log_full: LogFull,
    /// Whose markers output may hold.
    pub dialect: String,
    /// Whoever runs this has described these problems: texts by name.
    pub problem_matchers: BTreeMap<String, String>,
    /// Which files hold results of tests, if there are such, as patterns.
    pub junit: Vec<String>,
}

impl Default for Usual {
    fn default() -> Self {
        Self {
            containment: Containment::default(),
            leftover: Leftover::default(),
            on_disk_full: OnDiskFull::default(),
            drain_timeout: Duration::from_millis(stepflow_model::drain_default()),
            log_max_bytes: LOG_MAX_BYTES_DEFAULT,
            log_full: LogFull::default(),
            dialect: stepflow_model::dialect_default(),
            problem_matchers: BTreeMap::new(),
            junit: Vec::new(),
        }
    }
}

impl Usual {
    pub(crate) fn fill(&self, new: &mut NewExecution) {
        new.containment.get_or_insert(self.containment);
        new.leftover.get_or_insert(self.leftover);
        new.on_disk_full.get_or_insert(self.on_disk_full);
        new.drain_timeout.get_or_insert(self.drain_timeout);
        new.log_max_bytes.get_or_insert(self.log_max_bytes);
        new.log_full.get_or_insert(self.log_full);
        new.dialect.get_or_insert_with(|| self.dialect.clone());
        new.problem_matchers.clone_from(&self.problem_matchers);
        new.junit.get_or_insert_with(|| JunitFiles { globs: self.junit.clone(), may_miss: true });
    }
}

/// Why a request cannot become an execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing to run. The text is the original's.
    #[error("Command is required")]
    NoCommand,
    /// The text cannot be split.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A list and `shell` together.
    #[error("`shell` needs the command as one text, not as a list")]
    ShellList,
    /// A terminal is one stream.
    #[error("`pty` and `split_stderr` exclude each other: a terminal shows both as one")]
    PtySplit,
    /// A value that no program can be given.
    #[error("`{field}` contains a NUL character")]
    Nul {
        /// Where.
        field: &'static str,
    },
    /// Not a name that an environment can hold.
    #[error("`{name}` cannot be the name of an environment variable")]
    EnvName {
        /// The name, cut.
        name: String,
    },
    /// Past a limit.
    #[error("`{field}` is too long: at most {max} {unit}")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// The limit.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Zero, or absurdly long.
    #[error("`timeout` must be more than 0 and at most ten years, in seconds")]
    Timeout,
    /// Absurdly long.
    #[error("`drain_timeout` must be at least 0 and at most an hour, in seconds")]
    DrainTimeout,
    /// Too little to keep both ends of a log.
    #[error("`log_max_bytes` must be 0, for no limit, or at least {LOG_MAX_BYTES_MIN}")]
    LogMaxBytes,
    /// No list of dialects.
    #[error("`dialect`: {0}")]
    Dialect(#[from] DialectsError),
    /// No patterns of files.
    #[error("`junit`: {0}")]
    Junit(#[from] JunitGlobError),
    /// The engine's own working directory is gone.
    #[error("`working_directory` must be absolute here: this server has no working directory")]
    NoWorkingDirectory,
}

impl RequestError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCommand => Some("send {\"command\": \"make test\"}"),
            Self::Command(error) => error.hint(),
            _ => None,
        }
    }
}

/// A spec, and the values that it must not hold.
pub(crate) struct Prepared {
    pub(crate) spec: Spec,
    pub(crate) secrets: Vec<(String, String)>,
}

impl NewExecution {
    /// Only this command, and nothing else asked for.
    pub fn new(command: CommandLine) -> Self {
        Self {
            command,
            name: None,
            working_directory: None,
            environment: BTreeMap::new(),
            mask_env: Vec::new(),
            tags: Vec::new(),
            metadata: Map::new(),
            timeout: None,
            user: String::new(),
            stop_on_error: false,
            split_stderr: false,
            shell: false,
            pty: false,
            log_sync: None,
            containment: None,
            leftover: None,
            on_disk_full: None,
            drain_timeout: None,
            log_max_bytes: None,
            log_full: None,
            dialect: None,
            emulate: Vec::new(),
            problem_matchers: BTreeMap::new(),
            junit: None,
        }
    }

    /// Checks everything and makes the spec of `id`, accepted at `now_us`.
    pub(crate) fn prepare(self, id: ExecutionId, now_us: i64) -> Result<Prepared, RequestError> {
        let (command, text) = argv(self.command, self.shell)?;
        let name = self.name.filter(|name| !name.trim().is_empty());
        check_words(name.as_deref(), &self.user, &self.tags)?;
        check_environment(&self.environment)?;
        self.mask_env.iter().try_for_each(|name| check_name(name))?;
        if self.pty && self.split_stderr {
            return Err(RequestError::PtySplit);
        }
        if self.timeout.is_some_and(|limit| limit.is_zero() || limit > TIMEOUT_MAX) {
            return Err(RequestError::Timeout);
        }
        if self.drain_timeout.is_some_and(|time| time > DRAIN_MAX) {
            return Err(RequestError::DrainTimeout);
        }
        if self.log_max_bytes.is_some_and(|max| (1..LOG_MAX_BYTES_MIN).contains(&max)) {
            return Err(RequestError::LogMaxBytes);
        }
        let dialect = self.dialect.unwrap_or_else(stepflow_model::dialect_default);
        stepflow_model::check_dialects(&dialect, &self.problem_matchers)?;
        let mut environment = self.environment;
        for (name, value) in self.emulate.iter().flat_map(|system| system.variables()) {
            // What was declared for this execution wins.
            environment.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        let junit = self.junit.unwrap_or_default();
        stepflow_model::check_junit(&junit.globs)?;
        let (secrets, env): (BTreeMap<_, _>, BTreeMap<_, _>) =
            environment.into_iter().partition(|(name, _)| self.mask_env.contains(name));
        let spec = Spec {
            id,
            name: name.unwrap_or_else(|| cut(text, NAME_BYTES_MAX)),
            command,
            cwd: absolute(self.working_directory.as_deref())?,
            env,
            env_inherited: environment::inherited_names(),
            mask_env: self.mask_env,
            tags: self.tags,
            metadata: self.metadata,
            user: self.user,
            created_us: now_us,
            source: Source::Server,
            bound: false,
            // Rounded up: a limit below a millisecond is still one.
            timeout_ms: self.timeout.map(|limit| limit.as_millis().max(1) as u64),
            grace_ms: 10_000,
            drain_ms: self
                .drain_timeout
                .map_or_else(stepflow_model::drain_default, |time| time.as_millis() as u64),
            stop_on_error: self.stop_on_error,
            split_stderr: self.split_stderr,
            shell: self.shell,
            pty: self.pty.then(TerminalSize::default),
            log_sync: self.log_sync.unwrap_or_default(),
            containment: self.containment.unwrap_or_default(),
            leftover: self.leftover.unwrap_or_default(),
            log_max_bytes: self.log_max_bytes.unwrap_or(LOG_MAX_BYTES_DEFAULT),
            log_full: self.log_full.unwrap_or_default(),
            on_disk_full: self.on_disk_full.unwrap_or_default(),
            dialect,
            problem_matchers: self.problem_matchers,
            junit,
            rerun_of: None,
        };
        Ok(Prepared { spec, secrets: secrets.into_iter().collect() })
    }
}

/// Whether a program can be given this environment.
pub(crate) fn check_environment(
    environment: &BTreeMap<String, String>,
) -> Result<(), RequestError> {
    environment.keys().try_for_each(|name| check_name(name))?;
    if environment.values().any(|value| value.contains('\0')) {
        return Err(RequestError::Nul { field: "environment" });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), RequestError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(RequestError::EnvName { name: name.chars().take(80).collect() });
    }
    Ok(())
}

/// Checks how long the words are by which an execution is found.
pub(crate) fn check_words(
    name: Option<&str>,
    user: &str,
    tags: &[String],
) -> Result<(), RequestError> {
    let too_long = |field, max, unit| Err(RequestError::TooLong { field, max, unit });
    if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        return too_long("name", NAME_BYTES_MAX, "bytes");
    }
    if user.len() > TAG_BYTES_MAX {
        return too_long("user", TAG_BYTES_MAX, "bytes");
    }
    if tags.len() > TAGS_MAX {
        return too_long("tags", TAGS_MAX, "tags");
    }
    if tags.iter().any(|tag| tag.len() > TAG_BYTES_MAX) {
        return too_long("tags", TAG_BYTES_MAX, "bytes each");
    }
    Ok(())
}

/// The argument vector, and the command as one text for people.
fn argv(command: CommandLine, shell: bool) -> Result<(Vec<String>, String), RequestError> {
    let (argv, text) = match command {
        CommandLine::Text(text) if text.trim().is_empty() => return Err(RequestError::NoCommand),
        CommandLine::Text(text) if shell => {
            (vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()], text)
        }
        CommandLine::Text(text) => (split(&text)?, text),
        CommandLine::Args(_) if shell => return Err(RequestError::ShellList),
        CommandLine::Args(args) => {
            let text = args.join(" ");
            (args, text)
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        return Err(RequestError::NoCommand);
    }
    if argv.iter().any(|arg| arg.contains('\0')) {
        return Err(RequestError::Nul { field: "command" });
    }
    Ok((argv, text.trim().to_owned()))
}

fn absolute(dir: Option<&str>) -> Result<String, RequestError> {
    let dir = dir.filter(|dir| !dir.is_empty()).unwrap_or(".");
    if dir.contains('\0') {
        return Err(RequestError::Nul { field: "working_directory" });
    }
    if dir.len() > NAME_BYTES_MAX {
        return Err(RequestError::TooLong {
            field: "working_directory",
            max: NAME_BYTES_MAX,
            unit: "bytes",
        });
    }
    let whole = if Path::new(dir).is_absolute() {
        Path::new(dir).to_owned()
    } else {
        let here = std::env::current_dir().map_err(|_| RequestError::NoWorkingDirectory)?;
        if dir == "." { here } else { here.join(dir) }
    };
    whole.into_os_string().into_string().map_err(|_| RequestError::NoWorkingDirectory)
}

/// At most `max` bytes of `text`, cut between characters.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(new: NewExecution) -> Result<Prepared, RequestError> {
        new.prepare("0198c2aa-0000-7000-8000-000000000001".parse().unwrap(), 5)
    }

    fn text(command: &str) -> NewExecution {
        NewExecution::new(CommandLine::Text(command.to_owned()))
    }

    #[test]
    fn a_text_a_list_and_a_shell_become_argument_vectors() {
        let spec = prepare(text("bash -c 'a b'")).unwrap().spec;
        assert_eq!(spec.command, ["bash", "-c", "a b"]);
        assert_eq!(spec.name, "bash -c 'a b'");
        assert!(Path::new(&spec.cwd).is_absolute());
        let spec = prepare(NewExecution { shell: true, ..text("a | b") }).unwrap().spec;
        assert_eq!(spec.command, ["/bin/sh", "-c", "a | b"]);
        assert_eq!(spec.name, "a | b");
        let list = CommandLine::Args(vec!["a".to_owned(), "| b".to_owned()]);
        assert_eq!(prepare(NewExecution::new(list)).unwrap().spec.name, "a | b");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let refused = |new| prepare(new).err().unwrap();
        assert_eq!(refused(text("  ")), RequestError::NoCommand);
        assert_eq!(refused(text("''")), RequestError::NoCommand);
        assert_eq!(refused(NewExecution::new(CommandLine::Args(vec![]))), RequestError::NoCommand);
        assert!(matches!(refused(text("a && b")), RequestError::Command(_)));
        let list = CommandLine::Args(vec!["a".to_owned()]);
        assert_eq!(
            refused(NewExecution { shell: true, ..NewExecution::new(list) }),
            RequestError::ShellList
        );
        let both = NewExecution { pty: true, split_stderr: true, ..text("a") };
        assert_eq!(refused(both), RequestError::PtySplit);
        let list = CommandLine::Args(vec!["a\0".to_owned()]);
        assert!(matches!(refused(NewExecution::new(list)), RequestError::Nul { .. }));
        let zero = NewExecution { timeout: Some(Duration::ZERO), ..text("a") };
        assert_eq!(refused(zero), RequestError::Timeout);
        let env = NewExecution {
            environment: BTreeMap::from([("A=B".to_owned(), String::new())]),
            ..text("a")
        };
        assert!(matches!(refused(env), RequestError::EnvName { .. }));
    }

    #[test]
    fn a_secret_is_not_in_the_spec() {
        let new = NewExecution {
            environment: BTreeMap::from([
                ("A".to_owned(), "1".to_owned()),
                ("KEY".to_owned(), "hunter22".to_owned()),
            ]),
            mask_env: vec!["KEY".to_owned()],
            ..text("a")
        };
        let Prepared { spec, secrets } = prepare(new).unwrap();
        assert_eq!(secrets, [("KEY".to_owned(), "hunter22".to_owned())]);
        assert!(!serde_json::to_string(&spec).unwrap().contains("hunter22"));
        assert_eq!(spec.env.len(), 1);
    }
}
