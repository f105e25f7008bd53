//! From a spec to a released script.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        stat::fstat,
    },
    unistd::pipe2,
};
use stepflow_model::{Containment, EventKind, Leftover, Spec, Stream, steps};
use stepflow_record::Storage;
use stepflow_sys::{
    cgroup::Cgroup,
    host::{self, SocketDir},
    keeper::{self, Keeper, Launch},
    lock::Lock,
    tree,
};

use super::{Output, Session, SessionError, Source, Terminal, contain::make_group, files, system};
use crate::{
    artifact::{Collecting, Collector},
    doorbell::Doorbell,
    durable::Durable,
    lifecycle::Lifecycle,
    mask::Masker,
    ready::Ready,
    recording::Recording,
    results::Reading,
};

/// A script that was never released leaves its group within this time.
const GROUP_ENDS_WITHIN: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn start(
        storage: &Storage,
        spec: Spec,
        claim: &Lock,
        inherited: &[i32],
    ) -> Result<Self, SessionError> {
        let dir = storage.record_dir(spec.id);
        let secrets: Vec<(String, Vec<u8>)> = spec
            .mask_env
            .iter()
            .filter_map(|name| Some((name.clone(), env::var_os(name)?.into_vec())))
            .collect();
        let masker = Masker::new(secrets.iter().map(|(_, value)| value.clone()));
        let mut recording = Recording::create(&dir, &spec, masker)?;
        recording.reserve();
        files::make(&dir, &spec).map_err(system("make the files of GitHub's actions"))?;
        for name in &spec.mask_env {
            let known = secrets.iter().find(|(known, _)| known == name);
            if known.is_none_or(|(_, value)| Masker::is_too_short(value)) {
                recording.emit(EventKind::Warning {
                    code: "mask_unused".to_owned(),
                    message: format!("`{name}` is not set, or too short to be masked"),
                });
            }
        }
        let run = SocketDir::open(&storage.run_dir()).map_err(system("open the run directory"))?;
        let listener =
            run.bind(&Storage::socket_name(spec.id)).map_err(system("bind the control socket"))?;
        let doorbell = Doorbell::new(listener).map_err(system("bind the control socket"))?;

        let mask = keeper::block_signals().map_err(system("block signals"))?;
        keeper::become_subreaper().map_err(system("become a subreaper"))?;
        let (streams, sources, terminal) = if let Some(size) = spec.pty {
            let opened = Terminal::open(size).and_then(|(terminal, source, slave)| {
                let streams = [slave.try_clone()?, slave.try_clone()?, slave];
                Ok((streams, vec![source], Some(terminal)))
            });
            opened.map_err(system("open a terminal"))?
        } else {
            let (sources, out, err) = pipes(spec.split_stderr).map_err(system("make a pipe"))?;
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            ([stdin.map_err(system("pass on stdin"))?, out, err], sources, None)
        };
        let [stdin, stdout, stderr] = streams;
        let link = io::stdout().as_fd().try_clone_to_owned().map_err(system("keep the link"))?;
        let group = make_group(spec.containment, spec.id);
        let door = group.as_ref().ok().and_then(Option::as_ref).and_then(|group| group.door().ok());
        let mut keeper = keeper::start(Launch {
            argv: spec.command.iter().map(OsString::from).collect(),
            cwd: PathBuf::from(&spec.cwd),
            stdin,
            stdout,
            stderr,
            terminal: terminal.is_some(),
            held: vec![claim.raw_fd()],
            mask,
            door,
        })
        .map_err(|error| {
            if let Ok(Some(group)) = &group {
                let _ = group.remove();
            }
            system("fork the keeper")(error)
        })?;
        let (group, refused) = settle_group(group, &keeper, spec.containment);
        keeper::close_inherited(inherited);
        keeper::detach_standard_streams();

        let watched = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
        let watched: SigSet = watched.into_iter().collect();
        let signals =
            SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
                .map_err(|errno| system("watch signals")(errno.into()))?;

        recording.emit(EventKind::Started {
            pid: keeper.script_pid,
            start_ticks: tree::info(keeper.script_pid).map_or(0, |info| info.start_ticks),
            boot_id: host::boot_id(),
            recorder_pid: keeper::this_pid(),
            keeper_pid: keeper.pid,
            containment: if group.is_some() { "cgroup" } else { "keeper" }.to_owned(),
            cgroup: group.as_ref().map(|group| group.name().to_owned()),
            host: host::name(),
        });
        // No crash runs a script twice: its start is on disk before it is released.
        if let Err(error) = sync_start(&mut recording, &dir) {
            keeper.dismiss();
            if let Some(group) = &group {
                group.end(GROUP_ENDS_WITHIN);
            }
            recording.end_unstarted(&error);
            return Err(error);
        }
        let started = match &refused {
            None => keeper.release().map_err(system("release the script"))?,
            Some(_) => Ok(()),
        };

        let now = recording.clock.at_us();
        let life = Lifecycle::running(now, spec.grace_ms, spec.drain_ms, spec.timeout_ms)
            .leaving(spec.leftover == Leftover::Leave);
        let collector =
            Collector { cwd: PathBuf::from(&spec.cwd), target: storage.artifact_dir(spec.id) };
        let mut session = Self {
            dir,
            keeper,
            keeper_gone: false,
            group,
            emptied_at: None,
            main_status: None,
            main_exited: false,
            life,
            sources,
            terminal,
            ready: Ready::default(),
            doorbell,
            link: Some(File::from(link)),
            signals,
            collector: Collecting::new(collector),
            artifacts: storage.artifact_dir(spec.id),
            reading: Reading::default(),
            results: Vec::new(),
            durable: Durable::new(spec.log_sync, spec.id),
            retry_at: None,
            holds: false,
            blocked_since: None,
            finishing: false,
            leftover: Vec::new(),
            recording,
            spec,
        };
        match (started, refused) {
            (_, Some(why)) => session.refuse(why),
            (Err(failure), None) => session.start_failed(&failure),
            (Ok(()), None) => {}
        }
        if let Some(link) = &mut session.link {
            let _ = link.write_all(b"started\n"); // Whoever started us may be gone already.
        }
        Ok(session)
    }

    /// Ends it before the script has run: it is held back, and ends with the keeper.
    fn refuse(&mut self, why: String) {
        self.signal_tree(Signal::SIGKILL as i32);
        self.end(&steps::Outcome { start_error: Some(why), ..steps::Outcome::default() });
        self.finishing = true;
        self.keeper.dismiss();
    }

    fn start_failed(&mut self, failure: &keeper::StartFailure) {
        let system = io::Error::from_raw_os_error(failure.errno);
        let message = if failure.step == "chdir" {
            format!("cannot change to the working directory `{}`: {system}", self.spec.cwd)
        } else {
            format!("cannot start `{}`: {system}", self.spec.command[0])
        };
        // As a shell says it: 127 not found, 126 found but not executable.
        let code =
            if failure.errno == Errno::ENOENT as i32 && failure.step == "exec" { 127 } else { 126 };
        self.end(&steps::Outcome {
            exit_code: Some(code),
            start_error: Some(message),
            ..steps::Outcome::default()
        });
        self.finishing = true;
        self.keeper.dismiss();
    }
}

/// The group that the held back script is in, and why it may not go without one.
fn settle_group(
    made: Result<Option<Cgroup>, String>,
    keeper: &Keeper,
    wanted: Containment,
) -> (Option<Cgroup>, Option<String>) {
    match made {
        Ok(Some(group)) if keeper.grouped => (Some(group), None),
        Ok(group) => {
            if let Some(group) = &group {
                let _ = group.remove(); // Nobody is in it.
            }
            let why =
                "containment `cgroup` cannot be had here: the kernel does not let the script in";
            (None, (wanted == Containment::Cgroup).then(|| why.to_owned()))
        }
        Err(why) => (None, Some(why)),
    }
}

/// Makes the start durable, and the names of all files. Output and index are empty: what comes into
/// them is synced later.
fn sync_start(recording: &mut Recording, dir: &Path) -> Result<(), SessionError> {
    recording.journal.sync()?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(system("sync the record"))
}

/// The pipes that the script writes to: ours to read, its standard output, its standard error.
fn pipes(split: bool) -> io::Result<(Vec<Source>, OwnedFd, OwnedFd)> {
    let make = |stream| -> io::Result<(Source, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let flags = OFlag::from_bits_truncate(fcntl(&read, FcntlArg::F_GETFL)?);
        fcntl(&read, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let inode = fstat(&read)?.st_ino;
        debug_assert!(read.as_raw_fd() > 2);
        Ok((Source::new(stream, File::from(read), Output::Pipe(inode)), write))
    };
    let (out, write) = make(Stream::Stdout)?;
    if split {
        let (err, err_write) = make(Stream::Stderr)?;
        return Ok((vec![out, err], write, err_write));
    }
    let both = write.try_clone()?;
    Ok((vec![out], write, both))
}
