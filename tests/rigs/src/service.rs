//! A service manager ends a server: its main process alone, or everything in its control group.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_testkit::{Scratch, count_processes, eventually};

use crate::{Options, Outcome, group::Group};

/// Executions of one round.
const EXECUTIONS: usize = 4;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let group = match Group::make_unit("stepflow-rig") {
        Ok(group) => group,
        Err(why) => return Ok(Outcome::NotRun(why)),
    };
    let scratch = Scratch::new(&options.program);
    let rounds = (options.rounds / 20).max(2);
    for round in 0..rounds {
        main_process(&scratch, &group)
            .map_err(|found| format!("round {round}, process: {found}"))?;
        whole_group(&scratch, &group).map_err(|found| format!("round {round}, group: {found}"))?;
    }
    Ok(Outcome::Held(format!(
        "{rounds} rounds: with the main process killed {EXECUTIONS} executions went on and were found \
         again; with its control group killed {EXECUTIONS} ended as lost, 0 processes left; log, health \
         and doctor said each time which of both a stop of the unit does"
    )))
}

/// What a stop of the unit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KillMode {
    Process,
    ControlGroup,
}

/// A server in the group, and what it says in its log.
struct Served {
    server: Child,
    said: Arc<Mutex<String>>,
}

impl Served {
    fn start(scratch: &Scratch, group: &Group, mode: KillMode) -> Result<Self, String> {
        let mut command = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
        command.env("PATH", asked(scratch, mode).map_err(|error| error.to_string())?);
        let mut server = group
            .inside(&command)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut lines = BufReader::new(server.stderr.take().ok_or("no standard error")?).lines();
        let said = Arc::new(Mutex::new(String::new()));
        loop {
            let line =
                lines.next().ok_or("the server does not start")?.map_err(|e| e.to_string())?;
            let listens = line.starts_with("listening on ");
            append(&said, &line);
            if listens {
                break;
            }
        }
        let kept = Arc::clone(&said);
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| append(&kept, &line)));
        Ok(Self { server, said })
    }

    /// Log, health and doctor tell what a stop of the unit would do to executions.
    fn tells(&self, scratch: &Scratch, mode: KillMode) -> Result<(), String> {
        let path = asked(scratch, mode).map_err(|error| error.to_string())?;
        let found = scratch.command(&["doctor", "--json"]).env("PATH", path).output();
        let found = found.map_err(|error| error.to_string())?.stdout;
        let found: serde_json::Value =
            serde_json::from_slice(&found).map_err(|error| format!("doctor: {error}"))?;
        let checks = found["checks"].as_array().cloned().unwrap_or_default();
        let check = checks.into_iter().find(|check| check["id"] == "service");
        let detail = check.as_ref().and_then(|check| check["detail"].as_str()).unwrap_or_default();
        let socket = stepflow_client::Server::at(scratch.storage.run_dir().join("server.sock"));
        let health = || {
            let status = socket.get("/api/health/status").ok()?;
            status["components"]["engine"]["what"].as_str().map(str::to_owned)
        };
        let kills = "a stop of the unit kills running executions";
        let logged = || self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match mode {
            KillMode::ControlGroup => {
                if !detail.contains(".service: its stop kills executions") {
                    return Err(format!("doctor does not say that a stop kills: {detail:?}"));
                }
                let begun = std::time::Instant::now();
                while health().as_deref() != Some("ends-with-unit") {
                    if begun.elapsed() > stepflow_testkit::PATIENCE {
                        return Err(format!(
                            "health does not say that executions end with the unit: {}",
                            socket.get("/api/health/status").map_or_else(
                                |error| error.to_string(),
                                |status| status["components"]["engine"].to_string()
                            )
                        ));
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                eventually("the log says that a stop of the unit kills executions", || {
                    logged().contains(kills).then_some(())
                });
            }
            KillMode::Process => {
                // In a container systemd's word about one of the host's units is not taken.
                if !detail.contains("executions outlive it") && !detail.starts_with("a container") {
                    return Err(format!("doctor does not say that a stop spares: {detail:?}"));
                }
                let (said, health) = (logged(), health());
                if said.contains(kills) || health.as_deref() == Some("ends-with-unit") {
                    return Err(format!("executions would end with it: {health:?}, {said}"));
                }
            }
        }
        Ok(())
    }

    fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn append(said: &Mutex<String>, line: &str) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push_str(line);
    said.push('\n');
}

/// A search path with a `systemctl` that answers for the group's unit, and for no other.
fn asked(scratch: &Scratch, mode: KillMode) -> std::io::Result<OsString> {
    let word = match mode {
        KillMode::Process => "process",
        KillMode::ControlGroup => "control-group",
    };
    let dir = scratch.work().join(word);
    fs::create_dir_all(&dir)?;
    let unit = format!("stepflow-rig-{}.service", std::process::id());
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in 'show --property=KillMode --value -- {unit}') echo {word};; *) exit 1;; esac\n"
    );
    // Renamed: a server that asks just now finds all of it.
    let new = dir.join("systemctl.new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, dir.join("systemctl"))?;
    let mut path = dir.into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    Ok(path)
}

fn start(scratch: &Scratch, mark: &str, script: &str) -> Result<Vec<ExecutionId>, String> {
    let socket = stepflow_client::Server::at(scratch.storage.run_dir().join("server.sock"));
    let mut ids = Vec::new();
    for _ in 0..EXECUTIONS {
        let body = serde_json::json!({"command": ["sh", "-c", script, mark]});
        let made = socket.post("/api/executions", &body).map_err(|error| error.to_string())?;
        let id = made["id"].as_str().and_then(|id| id.parse().ok());
        ids.push(id.ok_or_else(|| format!("no id: {made}"))?);
    }
    for id in &ids {
        scratch.pids(*id);
        let contained = scratch.view(*id).state.summary.containment;
        if contained != "cgroup" {
            return Err(format!("it is contained by `{contained}`"));
        }
    }
    Ok(ids)
}

fn main_process(scratch: &Scratch, group: &Group) -> Result<(), String> {
    let mark = format!("stepflow-service-a-{}", std::process::id());
    let mut server = Served::start(scratch, group, KillMode::Process)?;
    server.tells(scratch, KillMode::Process)?;
    let go = scratch.work().join("go");
    let _ = std::fs::remove_file(&go);
    let script = format!("until test -e '{}'; do sleep 0.05; done; exit 3", go.display());
    let ids = start(scratch, &mark, &script)?;
    server.kill();
    let mut server = Served::start(scratch, group, KillMode::Process)?;
    let socket = stepflow_client::Server::at(scratch.storage.run_dir().join("server.sock"));
    let active = socket.get("/api/executions/active").map_err(|error| error.to_string())?;
    let found = ids.iter().filter(|id| active.to_string().contains(&id.to_string())).count();
    std::fs::write(&go, "").map_err(|error| error.to_string())?;
    for id in &ids {
        let summary = scratch.ended(*id).state.summary;
        if summary.exit_code != Some(3) {
            return Err(format!("it ended as {:?} {:?}", summary.status, summary.reason));
        }
    }
    server.kill();
    if found != EXECUTIONS {
        return Err(format!("{found} of {EXECUTIONS} were found again"));
    }
    eventually("no group of an execution is left", || group.below().is_empty().then_some(()));
    Ok(())
}

fn whole_group(scratch: &Scratch, group: &Group) -> Result<(), String> {
    let mark = format!("stepflow-service-b-{}", std::process::id());
    let mut server = Served::start(scratch, group, KillMode::ControlGroup)?;
    server.tells(scratch, KillMode::ControlGroup)?;
    let ids = start(scratch, &mark, "(setsid sleep 1000 &) ; sleep 1000")?;
    group.kill();
    let _ = server.server.wait();
    eventually("nothing of it is left", || (count_processes(&mark) == 0).then_some(()));
    let mut server = Served::start(scratch, group, KillMode::ControlGroup)?;
    for id in &ids {
        let summary = eventually("the verdict is given", || {
            let summary = scratch.view(*id).state.summary;
            summary.status.is_end().then_some(summary)
        });
        if (summary.status, summary.reason, summary.exit_code)
            != (Status::Failed, Some(Reason::RecorderLost), None)
        {
            return Err(format!("it ended as {:?} {:?}", summary.status, summary.reason));
        }
    }
    server.kill();
    let left = group.below();
    if left.is_empty() { Ok(()) } else { Err(format!("groups are left: {left:?}")) }
}
