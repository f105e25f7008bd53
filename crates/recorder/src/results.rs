//! Files of test results in JUnit's form: those that match the patterns of the spec, and declared
//! files whose content is that. Read once after the end, in a thread of its own, within limits; what
//! goes wrong is a warning in the journal, and costs nothing but itself.

mod walk; // which files match

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use stepflow_markers::{
    dialects,
    junit::{self, Case, JunitError},
};
use stepflow_model::{
    EventKind, ExecutionState, JUNIT, JunitFiles, Spec, TESTS_MAX, Test, TestStatus,
};

use crate::{artifact::Collector, worker::Worker};

/// Most files of one execution.
const FILES_MAX: usize = 1_000;
/// Most bytes of them together: 1 GiB.
const BYTES_MAX: u64 = 1 << 30;
/// All of it takes no longer than this, or what is left is not read.
const WITHIN: Duration = Duration::from_secs(20);
/// A thread that hangs in a read, of a network's file system say, is waited for this much longer.
const PATIENCE_US: u64 = 25_000_000;
/// Most bytes of messages and details that are kept, together: 8 MiB.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of names that are kept, together: 16 MiB.
const NAME_BYTES_MAX: usize = 16 << 20;
/// So many files that cannot be read are named.
const TOLD_MAX: usize = 20;
/// A file this much older than the execution is an earlier one's. Clocks of files are coarse.
const OLDER_US: i64 = 2_000_000;

/// What to read.
#[derive(Debug)]
pub(crate) struct Wanted {
    collector: Collector,
    junit: JunitFiles,
    /// Declared files that may hold results: as written, and where their copies are.
    declared: Vec<(String, PathBuf)>,
    created_us: i64,
}

impl Wanted {
    /// Of the execution that has ended; `None`: nothing.
    pub(crate) fn of(spec: &Spec, state: &ExecutionState, artifacts: &Path) -> Option<Self> {
        let is_xml = |path: &str| {
            Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case("xml"))
        };
        let declared: Vec<_> = state
            .artifacts
            .iter()
            .filter(|file| is_xml(&file.path))
            .filter_map(|file| Some((file.path.clone(), artifacts.join(file.sha256.as_ref()?))))
            .collect();
        let collector = Collector { cwd: PathBuf::from(&spec.cwd), target: artifacts.to_owned() };
        let wanted =
            Self { collector, junit: spec.junit.clone(), declared, created_us: spec.created_us };
        (!wanted.junit.is_empty() || !wanted.declared.is_empty()).then_some(wanted)
    }

    /// Reads everything; returns what is to be journaled.
    fn read(&self) -> Vec<EventKind> {
        let mut found = Found::default();
        let deadline = Instant::now() + WITHIN;
        let mut files = BTreeSet::new();
        for glob in &self.junit.globs {
            let inside = self.collector.relative(Path::new(glob));
            let matching = walk::matching(&self.collector.cwd, &inside, deadline, FILES_MAX);
            if !matching.whole {
                found.limit("more files, or directories, than can be looked at");
            }
            if matching.files.is_empty() && !self.junit.may_miss {
                let message =
                    format!("no file matches `{glob}`: no test results were read from it");
                found.warn("junit_none", message);
            }
            files.extend(matching.files);
        }
        for path in files.iter().take(FILES_MAX) {
            let shown = path.display().to_string();
            let read = self.collector.open(&shown).and_then(|file| self.is_new(&shown, file));
            match read {
                Ok(Some(file)) => found.file(&shown, file, deadline, false),
                Ok(None) => found.warn(
                    "junit_old",
                    format!("`{shown}` is older than this execution: its results are not read"),
                ),
                Err(why) => found.unread(why),
            }
        }
        for (path, copy) in &self.declared {
            // Found by a pattern as well: those are its results, and they count once.
            let inside = self.collector.relative(Path::new(path));
            let plain = inside.strip_prefix(".").unwrap_or(&inside);
            if files.contains(plain) {
                continue;
            }
            match File::open(copy) {
                Ok(file) => found.file(path, file, deadline, true),
                // Somebody has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.unread(format!("the copy of `{path}` cannot be read: {error}")),
            }
        }
        found.events()
    }

    /// `None`: it was there before the execution.
    fn is_new(&self, path: &str, file: File) -> Result<Option<File>, String> {
        let about = file.metadata().map_err(|error| format!("`{path}` cannot be read: {error}"))?;
        if !about.is_file() {
            return Err(format!("`{path}` is not a regular file: only those are read"));
        }
        let changed_us =
            about.mtime().saturating_mul(1_000_000).saturating_add(about.mtime_nsec() / 1_000);
        Ok((changed_us.saturating_add(OLDER_US) >= self.created_us).then_some(file))
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Found {
    tests: Vec<Test>,
    counts: BTreeMap<String, u64>,
    warnings: Vec<EventKind>,
    unread: usize,
    bytes: u64,
    text_bytes: usize,
    name_bytes: usize,
    limited: bool,
    any: bool,
}

impl Found {
    /// Reads one file. `perhaps`: nobody said that it holds results.
    fn file(&mut self, path: &str, file: File, deadline: Instant, perhaps: bool) {
        if self.bytes >= BYTES_MAX || Instant::now() >= deadline {
            self.limit("files that are too large, too many or too slow");
            return;
        }
        let mut source = Timed { file, left: BYTES_MAX - self.bytes, read: 0, deadline };
        let mut last: Option<Case> = None;
        // How a test ended is what its last try says.
        let parsed = junit::parse(&mut source, &mut |case| {
            if let Some(before) = last.take() {
                let is_last = case.attempt.is_none_or(|attempt| attempt == 1);
                self.take(before, is_last);
            }
            last = Some(case);
        });
        if let Some(case) = last {
            self.take(case, true);
        }
        self.bytes += source.read;
        match parsed {
            Ok(_) => self.any = true,
            Err(error) => {
                self.any |= error.is_junit();
                if perhaps && !error.is_junit() && !matches!(error, JunitError::Read(_)) {
                    return; // A file of another kind, which nobody said was one of these.
                }
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                self.unread(format!("`{path}` was not read whole as test results: {error}{cause}"));
            }
        }
    }

    fn take(&mut self, case: Case, is_last: bool) {
        let status = status(case.status);
        if is_last {
            *self.counts.entry(status.to_string()).or_default() += 1;
        }
        let names = case.name.len() + case.suite.as_ref().map_or(0, String::len);
        if self.tests.len() >= TESTS_MAX {
            return; // The journal says so when it comes to them.
        }
        if self.name_bytes + names > NAME_BYTES_MAX {
            self.limit("names that are too long");
            return;
        }
        self.name_bytes += names;
        let (mut message, mut details) = (case.message, case.details);
        let texts = [&message, &details].into_iter().flatten().map(String::len).sum::<usize>();
        if self.text_bytes + texts > TEXT_BYTES_MAX {
            (message, details) = (None, None);
            self.limit("messages that are too long");
        } else {
            self.text_bytes += texts;
        }
        self.tests.push(Test {
            dialect: JUNIT.to_owned(),
            name: case.name,
            status,
            step: None,
            suite: case.suite,
            message,
            duration_ms: case.duration_ms,
            attempt: case.attempt,
            file: case.file,
            line: case.line,
            details,
        });
    }

    fn unread(&mut self, why: String) {
        self.unread += 1;
        if self.unread <= TOLD_MAX {
            self.warn("junit_unread", why);
        }
    }

    /// Said once: results are incomplete.
    fn limit(&mut self, what: &str) {
        if !std::mem::replace(&mut self.limited, true) {
            self.warn("junit_limit", format!("there are {what}: not all test results were read"));
        }
    }

    fn warn(&mut self, code: &str, message: String) {
        self.warnings.push(EventKind::Warning { code: code.to_owned(), message });
    }

    fn events(mut self) -> Vec<EventKind> {
        if self.unread > TOLD_MAX {
            let more = self.unread - TOLD_MAX;
            self.warn("junit_unread", format!("{more} more files of test results were not read"));
        }
        let mut events = self.warnings;
        if self.any {
            // Before the tests: of so many that the journal has no room for all, the numbers are true.
            let counts = self.counts;
            let dialect = JUNIT.to_owned();
            events.push(EventKind::TestSummary { dialect, step: None, suite: None, counts });
        }
        events.extend(self.tests.into_iter().map(|test| EventKind::Test(Box::new(test))));
        events
    }
}

fn status(told: dialects::TestStatus) -> TestStatus {
    match told {
        dialects::TestStatus::Passed => TestStatus::Passed,
        dialects::TestStatus::Failed => TestStatus::Failed,
        dialects::TestStatus::Error => TestStatus::Error,
        dialects::TestStatus::Skipped => TestStatus::Skipped,
        dialects::TestStatus::Todo => TestStatus::Todo,
        dialects::TestStatus::Xfailed => TestStatus::Xfailed,
        dialects::TestStatus::Xpassed => TestStatus::Xpassed,
        dialects::TestStatus::Unknown => TestStatus::Unknown,
    }
}

/// A file that is read no further than there is room, and no longer than there is time.
struct Timed {
    file: File,
    left: u64,
    read: u64,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "there was no more time for it"));
        }
        if self.read >= self.left {
            let all = "the files of test results are too large together";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, all));
        }
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

/// The reading, beside everything else that a recorder waits for.
#[derive(Default)]
pub(crate) enum Reading {
    #[default]
    NotBegun,
    Begun {
        worker: Worker<Wanted, Vec<EventKind>>,
        give_up_us: u64,
    },
    Done,
}

impl Reading {
    /// Begins, goes on, and gives what was read, once; `None`: it is not done yet.
    pub(crate) fn go_on(
        &mut self,
        now_us: u64,
        wanted: impl FnOnce() -> Option<Wanted>,
    ) -> Option<Vec<EventKind>> {
        let warning = |message: &str| {
            vec![EventKind::Warning {
                code: "junit_unread".to_owned(),
                message: message.to_owned(),
            }]
        };
        let told = match self {
            Self::NotBegun => match wanted() {
                None => Some(Vec::new()),
                Some(wanted) => match Worker::start("tests", |wanted: Wanted| wanted.read()) {
                    Ok(mut worker) => {
                        worker.give(wanted);
                        *self = Self::Begun { worker, give_up_us: now_us + PATIENCE_US };
                        None
                    }
                    Err(_) => Some(warning("no thread could be started to read test results")),
                },
            },
            Self::Begun { worker, give_up_us } => match worker.take().pop() {
                Some(told) => Some(told),
                // A panic leaves it undone.
                None if worker.is_gone() || now_us >= *give_up_us => {
                    Some(warning("test results could not be read in time"))
                }
                None => None,
            },
            Self::Done => Some(Vec::new()),
        };
        if told.is_some() {
            *self = Self::Done;
        }
        told
    }

    /// Becomes readable when there is more to do.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Begun { worker, .. } => Some(worker.bell()),
            Self::NotBegun | Self::Done => None,
        }
    }

    /// When it is given up.
    pub(crate) fn due_us(&self) -> Option<u64> {
        match self {
            Self::Begun { give_up_us, .. } => Some(*give_up_us),
            Self::NotBegun | Self::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "<testsuite name='s'><testcase name='a'/><testcase name='b'><failure \
        message='no'/></testcase><testcase name='c'><flakyFailure message='once'/></testcase></testsuite>";

    struct Place {
        root: tempfile::TempDir,
        declared: Vec<(String, PathBuf)>,
    }

    impl Place {
        fn new() -> Self {
            Self { root: tempfile::tempdir().unwrap(), declared: Vec::new() }
        }

        fn write(&self, path: &str, content: &str) -> PathBuf {
            let path = self.root.path().join("work").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        }

        fn read(&self, globs: &[&str]) -> Vec<String> {
            let cwd = self.root.path().join("work");
            let wanted = Wanted {
                collector: Collector { cwd, target: self.root.path().join("artifacts") },
                junit: JunitFiles::wanted(globs.iter().map(|glob| (*glob).to_owned()).collect()),
                declared: self.declared.clone(),
                created_us: stepflow_sys::clock::wall_us(),
            };
            let told = |kind| match kind {
                EventKind::Test(test) => {
                    let attempt = test.attempt.map(|n| format!(" try {n}")).unwrap_or_default();
                    format!("{} {}{attempt}", test.status, test.name)
                }
                EventKind::TestSummary { counts, .. } => format!("{counts:?}"),
                EventKind::Warning { code, message } => format!("{code}: {message}"),
                other => panic!("{other:?}"),
            };
            wanted.read().into_iter().map(told).collect()
        }
    }

    #[test]
    fn files_that_match_are_read_and_counted_by_their_last_try() {
        let place = Place::new();
        place.write("out/deep/r.xml", GOOD);
        assert_eq!(
            place.read(&["out/**/*.xml"]),
            [
                r#"{"failed": 1, "passed": 2}"#,
                "passed a",
                "failed b",
                "failed c try 1",
                "passed c try 2",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_and_costs_only_itself() {
        let place = Place::new();
        place.write("a.xml", GOOD);
        place.write("b.xml", "<testsuite><testcase name='half'/>");
        place.write("c.xml", "<coverage/>");
        let old = place.write("d.xml", GOOD);
        let ago = std::time::SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(old).unwrap().set_modified(ago).unwrap();
        fs::create_dir(place.root.path().join("work/e.xml")).unwrap();
        std::os::unix::fs::symlink("a.xml", place.root.path().join("work/f.xml")).unwrap();
        let told = place.read(&["*.xml", "none/*.xml", "/etc/*.xml"]);
        let says = |text: &str| {
            assert!(told.iter().any(|line| line.contains(text)), "{text}: {told:#?}");
        };
        says("junit_none: no file matches `none/*.xml`");
        says("junit_none: no file matches `/etc/*.xml`");
        says("junit_unread: `b.xml` was not read whole as test results: it ends in its middle");
        says("junit_unread: `c.xml` was not read whole as test results: its root is <coverage>");
        says("junit_old: `d.xml` is older");
        says("junit_unread: `f.xml` is, or passes through, a symbolic link");
        says(r#"{"failed": 1, "passed": 3}"#);
        says("passed half");
        assert_eq!(told.iter().filter(|line| line.starts_with("passed a")).count(), 1);
        assert!(!told.iter().any(|line| line.contains("e.xml")), "a directory is no file");
    }

    #[test]
    fn declared_files_are_read_if_they_are_results_and_once() {
        let mut place = Place::new();
        let good = place.write("r.xml", GOOD);
        let other = place.write("pom.xml", "<project/>");
        let cut = place.write("cut.xml", "<testsuite><testcase name='x'/>");
        let gone = place.root.path().join("gone");
        place.declared = vec![
            ("./r.xml".to_owned(), good),
            ("pom.xml".to_owned(), other),
            ("cut.xml".to_owned(), cut),
            ("gone.xml".to_owned(), gone),
        ];
        let told = place.read(&[]);
        assert!(told[0].starts_with("junit_unread: `cut.xml`"), "{told:#?}");
        assert_eq!(told[1], r#"{"failed": 1, "passed": 3}"#);
        let told = place.read(&["r.xml"]);
        assert_eq!(told.iter().filter(|line| *line == "passed a").count(), 1, "{told:#?}");
    }
}
