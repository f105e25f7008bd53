//! Strange things happen to the host: a PID is given to another process, the host has another boot id,
//! the wall clock jumps, descriptors run out, a recorder is stopped, whoever started it goes away.

mod phases; // a cancel whose server is killed between two of them

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use stepflow_model::{EventKind, ExecutionId, Reason, Status};
use stepflow_record::{read_journal, read_notes};
use stepflow_testkit::{
    Rng, Scratch, count_processes, eventually, is_alive, kill, marked_processes, signal,
};

use crate::{
    Options, Outcome,
    kill::serve,
    stage::{LIBRARY, compiled},
};

/// First argument of this program in name spaces of its own.
pub(crate) const INSIDE: &str = "host-inside";

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let spaces = Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            "sh",
            "-c",
            "test -w /proc/sys/kernel/ns_last_pid",
        ])
        .status();
    if !spaces.is_ok_and(|status| status.success()) {
        return Ok(Outcome::NotRun("no PID name space of its own (unshare, root)".to_owned()));
    }
    let mut random = Rng::new(options.seed);
    let scratch = Scratch::new(&options.program);
    let rounds = options.rounds;
    let mut figures = Vec::new();
    // One of them by its number, for whoever works on it.
    for part in (1..=10).filter(|part| options.part == 0 || options.part == *part) {
        figures.push(match part {
            1 => reuse(options)?,
            2 => boot(&scratch)?,
            3 => clock(&scratch)?,
            4 => descriptors(&scratch)?,
            5 => ends(&scratch, rounds)?,
            6 => leftovers(&scratch)?,
            7 => stopped(&scratch)?,
            8 => without_server(&scratch)?,
            9 => phases::phases(&scratch, &mut random, rounds / 10)?,
            _ => clients(&scratch)?,
        });
    }
    Ok(Outcome::Held(figures.join("; ")))
}

/// In a PID name space of its own, where the next PID can be chosen.
pub(crate) fn inside(args: &[String]) -> ExitCode {
    let [program, rounds] = args else { return ExitCode::from(2) };
    let rounds = rounds.parse().unwrap_or(0);
    match (0..rounds)
        .try_for_each(|round| strangers(program).map_err(|why| format!("round {round}: {why}")))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(found) => {
            println!("{found}");
            ExitCode::FAILURE
        }
    }
}

fn reuse(options: &Options) -> Result<String, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let rounds = options.rounds;
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(me)
        .args([INSIDE, &options.program, &rounds.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        // What a rig found is one line.
        let said = [output.stdout, output.stderr].concat();
        let said: Vec<&str> = std::str::from_utf8(&said).unwrap_or("?").lines().collect();
        return Err(format!("PID reuse: {}", said.join(" ")));
    }
    Ok(format!(
        "{rounds} rounds of PID reuse (script, keeper, recorder): 0 strangers hit or adopted"
    ))
}

/// A recorder and its keeper are killed together, and strangers get their PIDs and the script's.
fn strangers(program: &str) -> Result<(), String> {
    let scratch = Scratch::new(program);
    let id = scratch.detach(&[], &["sleep", "1000"]);
    let (recorder, keeper, script) = scratch.pids(id);
    for pid in [keeper, recorder] {
        signal(pid, Signal::SIGSTOP);
    }
    for pid in [keeper, recorder, script] {
        kill(pid);
    }
    eventually("all are gone", || {
        [recorder, keeper, script].iter().all(|pid| gone(*pid)).then_some(())
    });
    let mut children: Vec<Child> = Vec::new();
    for pid in [recorder, keeper, script] {
        children.push(eventually("a stranger has the PID", || {
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
            let mut child = Command::new("sleep").arg("1000").spawn().ok()?;
            if child.id() == pid as u32 {
                return Some(child);
            }
            let _ = child.kill();
            let _ = child.wait();
            None
        }));
    }
    let id_text = id.to_string();
    let _ = scratch.output(&["ls"]);
    let _ = scratch.output(&["cancel", &id_text]);
    let _ = scratch.output(&["show", &id_text]);
    let summary = scratch.ended(id).state.summary;
    let hit = children.iter_mut().filter_map(|child| child.try_wait().ok().flatten()).count();
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    if hit > 0 {
        return Err(format!("{hit} strangers were hit"));
    }
    match (summary.status, summary.reason, summary.exit_code) {
        (Status::Failed, Some(Reason::RecorderLost), None) => Ok(()),
        other => Err(format!("it ended as {other:?}")),
    }
}

/// Whether nobody has this PID, not even a zombie. As the first process of a name space we are the
/// parent of every orphan.
fn gone(pid: i32) -> bool {
    let any = nix::unistd::Pid::from_raw(-1);
    while let Ok(status) = nix::sys::wait::waitpid(any, Some(nix::sys::wait::WaitPidFlag::WNOHANG))
    {
        if status == nix::sys::wait::WaitStatus::StillAlive {
            break;
        }
    }
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// A record of before a restart of the host: nobody is signalled, and the reason is said.
fn boot(scratch: &Scratch) -> Result<String, String> {
    let id = scratch.detach(&[], &["sleep", "1000"]);
    let (recorder, keeper, script) = scratch.pids(id);
    for pid in [keeper, recorder] {
        signal(pid, Signal::SIGSTOP);
    }
    for pid in [keeper, recorder] {
        kill(pid);
    }
    eventually("the claim is free", || {
        matches!(scratch.storage.is_alive(id), Ok(false)).then_some(())
    });
    let other = scratch.work().join("boot_id");
    fs::write(&other, "00000000-0000-4000-8000-000000000000\n")
        .map_err(|error| error.to_string())?;
    let show = scratch.command(&["show", &id.to_string()]);
    let shown = Command::new("unshare")
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"")
        .arg(&other)
        .arg(show.get_program())
        .args(show.get_args())
        .output()
        .map_err(|error| error.to_string())?;
    let lives = is_alive(script);
    kill(script);
    let summary = scratch.view(id).state.summary;
    if !shown.status.success() || summary.reason != Some(Reason::HostRestarted) {
        return Err(format!("another boot id: {:?}, {shown:?}", summary.reason));
    }
    if !lives {
        return Err("another boot id: a process of that number was killed".to_owned());
    }
    Ok("another boot id: lost by restart, nobody signalled".to_owned())
}

/// The wall clock jumps while a script runs against its time limit.
fn clock(scratch: &Scratch) -> Result<String, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let library = compiled(dir.path(), "clock.c", &LIBRARY)?;
    let offset = dir.path().join("clock");
    let jumps: [i64; 5] = [0, -86_400, 3_600, 365 * 86_400, -30];
    for limited in [false, true] {
        fs::write(&offset, "0").map_err(|error| error.to_string())?;
        let mut options = vec!["run", "--detach", "--grace", "100ms"];
        options.extend(limited.then_some(["--timeout", "1500ms"]).into_iter().flatten());
        options.extend(["--", "sh", "-c"]);
        let rest = if limited { "sleep 1000" } else { "exit 4" };
        let script = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo STEP_START:$i; sleep 0.1; done; {rest}"
        );
        let mut command = scratch.command(&options);
        command.arg(script).env("LD_PRELOAD", &library).env("STEPFLOW_RIG_CLOCK", &offset);
        let output = command.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let id: ExecutionId = text.trim().parse().map_err(|_| format!("no id: {output:?}"))?;
        for jump in jumps {
            fs::write(&offset, jump.to_string()).map_err(|error| error.to_string())?;
            thread::sleep(Duration::from_millis(200));
        }
        let summary = scratch.ended(id).state.summary;
        let expected = if limited {
            (Status::Failed, Some(Reason::TimedOut), None)
        } else {
            (Status::Failed, Some(Reason::ExitCode), Some(4))
        };
        let code = summary.exit_code.filter(|_| !limited);
        if (summary.status, summary.reason, code) != expected {
            return Err(format!("clock: {:?} {:?} {code:?}", summary.status, summary.reason));
        }
        let events: Vec<_> = read_journal(&scratch.storage.record_dir(id))
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        if !events.is_sorted_by_key(|event| (event.time_us, event.seq)) {
            return Err("clock: a stamp goes backwards".to_owned());
        }
        let steps =
            events.iter().filter(|e| matches!(e.kind, EventKind::StepStarted { .. })).count();
        let told = events
            .iter()
            .filter(|e| matches!(&e.kind, EventKind::Warning { code, .. } if code == "clock_jump"))
            .count();
        let last = events.last().map_or(0, |event| event.at_us);
        if steps != 12 || told < 2 || !(1_000_000..20_000_000).contains(&last) {
            return Err(format!("clock: {steps} steps, {told} jumps told, {last} us"));
        }
    }
    Ok("clock jumps of -1 day to +1 year: stamps in order, status and time limit unchanged, told"
        .to_owned())
}

/// A start with few descriptors works or fails whole, in the foreground and detached. From a limit
/// that lets nothing begin to one that lets everything, one more each time: whichever descriptor is
/// the one that cannot be had, it is met.
fn descriptors(scratch: &Scratch) -> Result<String, String> {
    let starts = scratch.work().join("starts");
    let (mut whole, mut refused) = (0, 0);
    for (limit, detached) in (3..48).flat_map(|limit| [(limit, false), (limit, true)]) {
        let what = format!("{limit} descriptors, detached {detached}");
        let mark = format!("stepflow-host-fds-{}-{limit}-{detached}", std::process::id());
        let _ = fs::remove_file(&starts);
        let script = format!("echo started >> '{}'", starts.display());
        let how = if detached { ["--detach", "--output=quiet"] } else { ["--output", "quiet"] };
        let run =
            scratch.command(&[&["run"], &how[..], &["--", "sh", "-c", &script, &mark]].concat());
        let status = Command::new("sh")
            .args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"])
            .arg(run.get_program())
            .args(run.get_args())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| error.to_string())?;
        eventually("nothing of it is left", || (count_processes(&mark) == 0).then_some(()));
        let started = fs::read_to_string(&starts).unwrap_or_default().lines().count();
        match (status.code(), started) {
            (Some(0), 1) => whole += 1,
            (Some(code), 0) if code != 0 => refused += 1,
            // Started, and then too few descriptors to record it as it should be: it is told.
            (Some(125), 1) => refused += 1,
            other => return Err(format!("{what}: (exit code, starts) {other:?}")),
        }
    }
    // The last one's script has ended; its recorder may still be writing that down, or be the one that
    // dies of it: whoever looks next settles what has nobody any more.
    let open = eventually("each of them has an end", || {
        if !scratch.output(&["ls", "--json"]).status.success() {
            return Some(Err("descriptors: what is left cannot be listed".to_owned()));
        }
        let open = scratch.storage.open_executions().ok()?;
        open.is_empty().then_some(Ok(open))
    });
    open?;
    if whole < 2 || refused < 2 {
        return Err(format!("descriptors: not a sweep, {whole} whole, {refused} refused"));
    }
    Ok(format!(
        "descriptors from 3 to 47, foreground and detached: {whole} starts whole, {refused} refused whole"
    ))
}

/// Every exit code and every signal, through pipes and a terminal.
fn ends(scratch: &Scratch, rounds: u64) -> Result<String, String> {
    // Few rounds: a sample with the edges; a hundred and more: all.
    let step = (100 / rounds.max(1)).clamp(1, 32) as usize;
    let mut codes: Vec<i32> = (0..256).step_by(step).collect();
    codes.extend([1, 2, 124, 125, 126, 127, 128, 130, 137, 254, 255]);
    // Those that end a process, the first and last real-time ones among them; those that nobody
    // notices who does not ask for them; and the one that stops whoever gets it.
    let (ignored, stop) = ([17, 18, 20, 21, 22, 23, 28], 19);
    let signals: Vec<i32> =
        (1..32).chain([34, 64]).filter(|s| !ignored.contains(s) && *s != stop).collect();
    let mut count = 0;
    for pty in [false, true] {
        let mut options = vec!["--output", "quiet"];
        options.extend(pty.then_some("--pty"));
        let run = |script: String| {
            let mut args = vec!["run"];
            args.extend(&options);
            // What whoever started us ignores (`nohup`), the script would ignore as well.
            args.extend(["--", "env", "--default-signal", "sh", "-c", &script]);
            let status = scratch.output(&args).status;
            let summary = scratch.view(scratch.newest()).state.summary;
            (status.code(), summary.exit_code, summary.signal)
        };
        for code in &codes {
            let found = run(format!("exit {code}"));
            if found != (Some(*code), Some(*code), None) {
                return Err(format!("exit {code}, terminal {pty}: {found:?}"));
            }
            count += 1;
        }
        for signal in &signals {
            let found = run(format!("kill -{signal} $$; sleep 5"));
            if found != (Some(128 + signal), None, Some(*signal)) {
                return Err(format!("signal {signal}, terminal {pty}: {found:?}"));
            }
            count += 1;
        }
        for signal in ignored.iter().chain([&stop]) {
            let script = format!(
                "(while kill -CONT $$ 2>/dev/null; do sleep 0.05; done) & kill -{signal} $$; exit 7"
            );
            let found = run(script);
            if found != (Some(7), Some(7), None) {
                return Err(format!("signal {signal}, terminal {pty}, is no end: {found:?}"));
            }
            count += 1;
        }
    }
    Ok(format!("{count} exit codes and signals by pipe and terminal, none invented"))
}

/// Processes that outlive the script's first one.
fn leftovers(scratch: &Scratch) -> Result<String, String> {
    let pid = std::process::id();
    let mut count = 0;
    // What stays behind, whether it holds the output, and what is recorded of it.
    let kinds = [
        ("writes", "(while :; do echo more; sleep 0.05; done) &", true),
        ("silent", "sleep 1000 &", true),
        ("nohup", "nohup sh -c 'sleep 1000' 2>&1 &", true),
        ("stubborn", "(trap '' TERM; while :; do sleep 1; done) &", true),
        ("daemon", "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)", false),
    ];
    for (kind, command, holds) in kinds {
        for leave in [false, true] {
            let mark = format!("stepflow-host-left-{pid}-{kind}-{leave}");
            let mut run = scratch.command(&["run", "--detach", "--drain-timeout", "300ms"]);
            run.args(["--grace", "300ms", "--leftover", if leave { "leave" } else { "kill" }]);
            run.args(["--", "bash", "-c", &format!("echo first\n{command}\nexit 5")]);
            let output = run.env("STEPFLOW_RIG_MARK", &mark).output().map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let id: ExecutionId = text.trim().parse().map_err(|_| format!("no id: {output:?}"))?;
            let view = scratch.ended(id);
            let (recorder, keeper, _) = scratch.pids(id);
            eventually("recorder and keeper go", || {
                (!is_alive(recorder) && !is_alive(keeper)).then_some(())
            });
            let left = count_processes(&mark);
            marked_processes(&mark).into_iter().for_each(kill);
            let goes_on = leave || !holds;
            // A writer without a reader ends by itself, of SIGPIPE.
            if (left > 0) != goes_on && !(leave && kind == "writes") {
                return Err(format!("{kind}, leave {leave}: {left} processes are left"));
            }
            if view.state.summary.exit_code != Some(5) || view.state.leftover.is_empty() {
                let code = view.state.summary.exit_code;
                return Err(format!("{kind}, leave {leave}: {code:?}, {:?}", view.state.leftover));
            }
            let output = scratch.output_of(id);
            let more = output.windows(4).filter(|bytes| bytes == b"more").count();
            if !output.starts_with(b"first\n") || (kind == "writes" && more < 3) {
                return Err(format!("{kind}, leave {leave}: {}", String::from_utf8_lossy(&output)));
            }
            count += 1;
        }
    }
    Ok(format!("{count} leftovers ended or left as asked, all listed"))
}

/// A recorder that is stopped is not ended, and a wish for it is kept over a crash of the server.
fn stopped(scratch: &Scratch) -> Result<String, String> {
    let mut server = serve(scratch)?;
    let id = scratch.detach(&["--grace", "200ms"], &["sleep", "1000"]);
    let (recorder, ..) = scratch.pids(id);
    let text = id.to_string();
    signal(recorder, Signal::SIGSTOP);
    let socket = stepflow_client::Server::at(scratch.storage.run_dir().join("server.sock"));
    let result = (|| {
        eventually("the server says that it does not answer", || {
            let got = socket.get(&format!("/api/executions/{text}?logs=0")).ok()?;
            (got["execution"]["unresponsive"] == true && got["execution"]["status"] == "running")
                .then_some(())
        });
        for args in [["show", &text], ["ls", "--status=running"]] {
            let said = scratch.text(&args);
            if !said.contains("does not answer") {
                return Err(format!("{args:?} does not say it: {said}"));
            }
        }
        let asked = scratch.output(&["cancel", &text]);
        let notes =
            read_notes(&scratch.storage.record_dir(id)).map_err(|error| error.to_string())?;
        if !asked.status.success() || !format!("{notes:?}").contains("CancelWished") {
            return Err(format!("the wish is not noted: {asked:?}"));
        }
        let _ = server.kill();
        let _ = server.wait();
        if scratch.view(id).state.summary.status != Status::Running || !is_alive(recorder) {
            return Err("a stopped recorder was ended".to_owned());
        }
        server = serve(scratch)?;
        signal(recorder, Signal::SIGCONT);
        let summary = scratch.ended(id).state.summary;
        if (summary.status, summary.signal) != (Status::Cancelled, Some(15)) {
            return Err(format!(
                "the wish was lost or doubled: {:?} {:?}",
                summary.status, summary.signal
            ));
        }
        Ok(())
    })();
    signal(recorder, Signal::SIGCONT);
    let _ = server.kill();
    let _ = server.wait();
    result?;
    Ok("a stopped recorder: shown, not ended, its cancel kept over a crash".to_owned())
}

/// Time limits without a server.
fn without_server(scratch: &Scratch) -> Result<String, String> {
    let mut server = serve(scratch)?;
    let id = scratch.detach(&["--timeout", "1s", "--grace", "100ms"], &["sleep", "1000"]);
    scratch.pids(id);
    let _ = server.kill();
    let _ = server.wait();
    let summary = scratch.ended(id).state.summary;
    if summary.reason != Some(Reason::TimedOut) {
        return Err(format!("time limit without a server: {:?}", summary.reason));
    }
    Ok("a time limit without a server is kept".to_owned())
}

/// Whoever started it hangs up or is killed, in the foreground and detached.
fn clients(scratch: &Scratch) -> Result<String, String> {
    for how in [Signal::SIGHUP, Signal::SIGKILL] {
        let mut command = scratch
            .command(&["run", "--output", "quiet", "--grace", "200ms", "--", "sleep", "1000"]);
        let before = scratch.storage.executions().map_or(0, |all| all.len());
        let mut client = command.process_group(0).spawn().map_err(|error| error.to_string())?;
        let id = eventually("it is there", || {
            let all = scratch.storage.executions().ok()?;
            (all.len() > before).then(|| *all.last().expect("one"))
        });
        scratch.pids(id);
        signal(client.id() as i32, how);
        let _ = client.wait();
        let summary = scratch.ended(id).state.summary;
        if summary.status != Status::Cancelled {
            return Err(format!("{how}: a foreground run ended as {:?}", summary.status));
        }
    }
    let id = scratch.detach(&[], &["sh", "-c", "sleep 1; exit 6"]); // Its client is gone already.
    let summary = scratch.ended(id).state.summary;
    if summary.exit_code != Some(6) {
        return Err(format!("a detached run ended as {:?}", summary.status));
    }
    Ok("hang-up and SIGKILL of the client end a foreground run, not a detached one".to_owned())
}
