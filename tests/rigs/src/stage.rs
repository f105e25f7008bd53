//! A storage, a script, and what became of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, ExecutionState, Reason, Status};
use stepflow_record::{LogReader, RecordView};
use stepflow_testkit::{PATIENCE, Scratch, count_processes, eventually};

/// Lines of the scenario's three steps.
const LINES: [u64; 3] = [200, 200, 100];
/// The exit code of the scenario.
const CODE: i32 = 7;

/// A program of C below `tests/rigs/c`, compiled; an error says that this cannot be done here.
pub(crate) fn compiled(dir: &Path, source: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let target = dir.join(source.replace(".c", ".out"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(source);
    let compiler = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(&target)
        .arg(&source)
        .output()
        .map_err(|error| format!("no C compiler: {error}"))?;
    if compiler.status.success() {
        return Ok(target);
    }
    Err(format!("{}: {}", source.display(), String::from_utf8_lossy(&compiler.stderr)))
}

/// Flags that make a library for `LD_PRELOAD`.
pub(crate) const LIBRARY: [&str; 2] = ["-shared", "-fPIC"];

/// The scenario: a start that is counted, three steps with lines, an artifact, an exit code.
pub(crate) struct Scenario {
    pub(crate) scratch: Scratch,
    pub(crate) preload: PathBuf,
    /// In the environment of everything that a run starts.
    mark: String,
    /// The whole output.
    pub(crate) output: Vec<u8>,
    /// Calls of a recorder that nothing happens to, a letter each.
    pub(crate) calls: String,
    dir: tempfile::TempDir,
}

/// How one run is lied to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lie {
    /// Number of the call, from 1.
    pub(crate) at: usize,
    /// `before`, `after`, `short` or an errno.
    pub(crate) what: String,
    /// And all calls behind it, until [`Run::heal`].
    pub(crate) goes_on: bool,
}

/// One run of the scenario.
pub(crate) struct Run {
    pub(crate) child: Child,
    count: PathBuf,
    heal: PathBuf,
    pub(crate) starts: PathBuf,
}

impl Run {
    /// The calls so far, a letter each.
    pub(crate) fn calls(&self) -> String {
        fs::read_to_string(&self.count).unwrap_or_default()
    }

    /// The disk is well again.
    pub(crate) fn heal(&self) {
        fs::write(&self.heal, "").expect("a file");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> Result<ExitStatus, String> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    let _ = self.child.kill();
                    return Err(format!("no end within {PATIENCE:?}, calls {}", self.calls()));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All output and the exit code are recorded.
    Whole,
    /// Its recorder was lost; what is recorded is a beginning of the output.
    Lost,
    /// It never started, and the record says so.
    Refused,
}

impl Scenario {
    pub(crate) fn new(program: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let preload = compiled(dir.path(), "preload.c", &LIBRARY)?;
        let mark = format!("stepflow-rig-{}", std::process::id());
        let mut scenario = Self {
            scratch: Scratch::new(program),
            preload,
            mark,
            output: Vec::new(),
            calls: String::new(),
            dir,
        };
        let mut run = scenario.start(&Lie::default());
        let status = run.ended()?;
        let id = scenario.scratch.newest();
        scenario.output = scenario.scratch.output_of(id);
        scenario.calls = run.calls();
        if status.code() != Some(CODE) || scenario.calls.len() < 20 {
            return Err(format!("undisturbed: {status}, calls {:?}", scenario.calls));
        }
        match scenario.judge(&run)? {
            (End::Whole, _) => Ok(scenario),
            (end, _) => Err(format!("undisturbed: {end:?}")),
        }
    }

    /// Starts a run whose recorder is lied to.
    pub(crate) fn start(&self, lie: &Lie) -> Run {
        let file = |name: &str| self.dir.path().join(name);
        let (count, heal, starts) = (file("count"), file("heal"), file("starts"));
        for path in [&count, &heal, &starts] {
            let _ = fs::remove_file(path);
        }
        let me = std::env::current_exe().expect("this program");
        let oracle =
            |from: u64, count: u64| format!("'{}' oracle-write 0 {from} {count} 0", me.display());
        let [one, two, three] = LINES;
        let script = format!(
            "echo started >> '{}'\n\
             echo STEP_START:One; {}; echo STEP_COMPLETE:One\n\
             echo STEP_START:Two; echo data > out.txt; echo ARTIFACT:out.txt:the file; {}; echo STEP_COMPLETE:Two\n\
             echo STEP_START:Three; {}; echo STEP_COMPLETE:Three; exit {CODE}",
            starts.display(),
            oracle(0, one),
            oracle(one, two),
            oracle(one + two, three),
        );
        let mut command = self.scratch.command(&["run", "--output", "quiet", "--", "sh", "-c"]);
        command
            .arg(script)
            .env("LD_PRELOAD", &self.preload)
            .env("STEPFLOW_RIG_ROOT", self.scratch.storage.root())
            .env("STEPFLOW_RIG_ROLE", stepflow_recorder::COMMAND)
            .env("STEPFLOW_RIG_COUNT", &count)
            .env("STEPFLOW_RIG_HEAL", &heal)
            .env("STEPFLOW_RIG_AT", lie.at.to_string())
            .env("STEPFLOW_RIG_DO", &lie.what)
            .env("STEPFLOW_RIG_MARK", &self.mark)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if lie.goes_on {
            command.env("STEPFLOW_RIG_ON", "1");
        }
        let child = command.spawn().expect("the program starts");
        Run { child, count, heal, starts }
    }

    /// What became of the newest run, which has ended, and whether that is as promised.
    pub(crate) fn judge(&self, run: &Run) -> Result<(End, ExecutionState), String> {
        let id = self.scratch.newest();
        let starts = fs::read_to_string(&run.starts).unwrap_or_default().lines().count();
        if starts > 1 {
            return Err(format!("the script was started {starts} times"));
        }
        eventually("no process of it is left", || (count_processes(&self.mark) == 0).then_some(()));
        let first = self.settled(id)?;
        let again = self.settled(id)?;
        if first.summary != again.summary || first.steps != again.steps {
            return Err("a second look says something else than the first".to_owned());
        }
        let flaws = self.scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
        if !flaws.is_empty() {
            return Err(format!("verify: {flaws:?}"));
        }
        let bytes = recorded(&self.scratch, id)?;
        if !self.output.starts_with(&bytes) {
            let same = self.output.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
            return Err(format!("byte {same} of the output is not what was printed"));
        }
        let names: Vec<&str> = first.steps.iter().map(|step| step.name.as_str()).collect();
        if !["One", "Two", "Three"].starts_with(&names) {
            return Err(format!("steps {names:?}"));
        }
        let summary = &first.summary;
        let end = match (summary.status, summary.reason) {
            (Status::Failed, Some(Reason::ExitCode)) => {
                let whole = summary.exit_code == Some(CODE)
                    && bytes == self.output
                    && names.len() == 3
                    && starts == 1;
                if !whole {
                    return Err(format!(
                        "it says that it ended, with {} of {} bytes, {names:?}, {starts} starts",
                        bytes.len(),
                        self.output.len()
                    ));
                }
                End::Whole
            }
            (Status::Failed, Some(Reason::RecorderLost)) => End::Lost,
            (Status::Failed, Some(Reason::NotStarted | Reason::StartFailed)) => {
                if starts > 0 {
                    return Err("it says that it never started, and it did".to_owned());
                }
                End::Refused
            }
            other => return Err(format!("it ended as {other:?}")),
        };
        Ok((end, first))
    }

    /// Its state after somebody has looked at it.
    fn settled(&self, id: ExecutionId) -> Result<ExecutionState, String> {
        let shown = self.scratch.output(&["show", &id.to_string(), "--json"]);
        if !shown.status.success() {
            return Err(format!("show: {}", String::from_utf8_lossy(&shown.stderr)));
        }
        let view =
            RecordView::open(&self.scratch.storage, id).map_err(|error| error.to_string())?;
        Ok(view.state)
    }
}

/// The recorded output.
pub(crate) fn recorded(scratch: &Scratch, id: ExecutionId) -> Result<Vec<u8>, String> {
    let dir = scratch.storage.record_dir(id);
    let Some(log) = LogReader::open(&dir).map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    let (bytes, _) = log.position().map_err(|error| error.to_string())?;
    let mut output = vec![0; bytes as usize];
    log.read_at(&mut output, 0).map_err(|error| error.to_string())?;
    Ok(output)
}
