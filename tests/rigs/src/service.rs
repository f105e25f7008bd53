//! A service manager ends a server: its main process alone, or everything in its control group.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    thread,
};

use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_testkit::{Scratch, count_processes, eventually};

use crate::{Options, Outcome, group::Group};

/// Executions of one round.
const EXECUTIONS: usize = 4;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let group = match Group::make("stepflow-service") {
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
         again; with its control group killed {EXECUTIONS} ended as lost, 0 processes left"
    )))
}

/// A server in the group, which says before it listens whether its executions outlive it.
fn serve(scratch: &Scratch, group: &Group) -> Result<(Child, Vec<String>), String> {
    let command = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
    let mut server =
        group.inside(&command).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(server.stderr.take().ok_or("no standard error")?).lines();
    let mut said = Vec::new();
    loop {
        let line = lines.next().ok_or("the server does not start")?.map_err(|e| e.to_string())?;
        said.push(line);
        if said.last().is_some_and(|line| line.starts_with("listening on ")) {
            thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
            return Ok((server, said));
        }
    }
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
    let (mut server, _) = serve(scratch, group)?;
    let go = scratch.work().join("go");
    let _ = std::fs::remove_file(&go);
    let script = format!("until test -e '{}'; do sleep 0.05; done; exit 3", go.display());
    let ids = start(scratch, &mark, &script)?;
    let _ = server.kill();
    let _ = server.wait();
    let (mut server, _) = serve(scratch, group)?;
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
    let _ = server.kill();
    let _ = server.wait();
    if found != EXECUTIONS {
        return Err(format!("{found} of {EXECUTIONS} were found again"));
    }
    eventually("no group of an execution is left", || group.below().is_empty().then_some(()));
    Ok(())
}

fn whole_group(scratch: &Scratch, group: &Group) -> Result<(), String> {
    let mark = format!("stepflow-service-b-{}", std::process::id());
    let (mut server, _) = serve(scratch, group)?;
    let ids = start(scratch, &mark, "(setsid sleep 1000 &) ; sleep 1000")?;
    group.kill();
    let _ = server.wait();
    eventually("nothing of it is left", || (count_processes(&mark) == 0).then_some(()));
    let (mut server, _) = serve(scratch, group)?;
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
    let _ = server.kill();
    let _ = server.wait();
    let left = group.below();
    if left.is_empty() { Ok(()) } else { Err(format!("groups are left: {left:?}")) }
}
