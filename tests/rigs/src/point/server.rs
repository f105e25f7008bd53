//! The server dies before or after each of its calls that change a file, along one execution: it is
//! accepted, started, followed to its end, its end is committed. Its recorder goes on.

use std::{fs, path::PathBuf};

use stepflow_model::{Reason, Status};
use stepflow_testkit::{Scratch, count_processes, eventually};

use crate::{
    served::{CODE, Job, Served, accepted, ask, made},
    stage::{LIBRARY, compiled, recorded},
};

/// Calls behind those of an undisturbed run that are tried as well: a run may have more of them.
const MORE: usize = 10;

/// What the sweep came to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Calls of an undisturbed server.
    pub(crate) calls: String,
    /// Servers that died.
    pub(crate) kills: u64,
    /// Of these, before the answer to the create was heard.
    pub(crate) unanswered: u64,
    /// Executions that ended as if nothing had happened.
    pub(crate) whole: u64,
    /// Executions that never started, and say so.
    pub(crate) refused: u64,
}

struct Stage {
    scratch: Scratch,
    preload: PathBuf,
    mark: String,
    dir: tempfile::TempDir,
    runs: u64,
}

/// Each call once, before and after.
pub(crate) fn sweep(program: &str) -> Result<Swept, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let preload = compiled(dir.path(), "preload.c", &LIBRARY)?;
    let mark = format!("stepflow-point-server-{}", std::process::id());
    let mut stage = Stage { scratch: Scratch::new(program), preload, mark, dir, runs: 0 };
    let mut swept = Swept::default();
    // The first run makes the catalog: the second one is as all that follow.
    for _ in 0..2 {
        swept.calls = stage.one(0, "before", &mut Swept::default())?;
    }
    if swept.calls.len() < 20 {
        return Err(format!("undisturbed, the server made the calls {:?}", swept.calls));
    }
    for at in 1..=swept.calls.len() + MORE {
        for what in ["before", "after"] {
            let calls = swept.calls.clone();
            stage.one(at, what, &mut swept).map_err(|found| {
                format!("the server was killed {what} call {at} ({calls}): {found}")
            })?;
        }
    }
    if swept.kills < 2 * (swept.calls.len() as u64 - MORE as u64) || swept.unanswered == 0 {
        return Err(format!("not a sweep: {swept:?}"));
    }
    Ok(swept)
}

impl Stage {
    /// One execution whose server dies at call `at` (0: it does not); the calls that it made.
    fn one(&mut self, at: usize, what: &str, swept: &mut Swept) -> Result<String, String> {
        self.runs += 1;
        let file = |name: &str| self.dir.path().join(name);
        let (count, armed) = (file("count"), file("armed"));
        for path in [&count, &armed] {
            let _ = fs::remove_file(path);
        }
        let storage = &self.scratch.storage;
        let before = made(storage)?;
        let job = Job::new(&self.scratch.work(), &format!("run-{}", self.runs), &self.mark)?;
        let text = |path: &std::path::Path| path.display().to_string();
        let mut server = Served::start(
            &self.scratch,
            &[
                ("LD_PRELOAD", &text(&self.preload)),
                ("STEPFLOW_RIG_ROOT", &text(storage.root())),
                ("STEPFLOW_RIG_ROLE", "serve"),
                ("STEPFLOW_RIG_COUNT", &text(&count)),
                ("STEPFLOW_RIG_ARMED", &text(&armed)),
                ("STEPFLOW_RIG_AT", &at.to_string()),
                ("STEPFLOW_RIG_DO", what),
            ],
        )?;
        // What a server does to serve is not counted: it ends here.
        fs::write(&armed, "").map_err(|error| error.to_string())?;
        let key = format!("run-{}", self.runs);
        let create =
            |address: &str| ask(address, "POST", "/api/executions", Some(&key), Some(&job.body));
        let first = create(&server.address);
        let heard = match &first {
            Ok(answer) => Some(accepted(answer)?),
            Err(_) => None,
        };
        // Until it is dead, or has nothing left to do for this execution.
        eventually("the server dies or has committed the end", || {
            let idle = storage.open_executions().is_ok_and(|open| open.is_empty());
            (server.is_gone() || heard.is_some() && idle).then_some(())
        });
        // Its last call may have told of the end before the kill that follows it.
        let called = || fs::read_to_string(&count).unwrap_or_default();
        if at > 0 && at <= called().len() {
            eventually("the server dies", || server.is_gone().then_some(()));
        }
        let (died, calls) = (server.is_gone(), called());
        drop(server);
        let mut again = Served::start(&self.scratch, &[])?;
        if died {
            swept.kills += 1;
            swept.unanswered += u64::from(heard.is_none());
        }
        // Whoever heard nothing asks again.
        let id = accepted(&create(&again.address)?)?;
        if heard.is_some_and(|heard| heard != id) {
            return Err(format!("it was accepted as {heard:?} and, asked again, as {id}"));
        }
        eventually("its end is committed", || {
            storage.open_executions().is_ok_and(|open| open.is_empty()).then_some(())
        });
        let after = made(storage)?;
        if after.len() != before.len() + 1 || !after.contains(&id) {
            return Err(format!("{} executions came of one request", after.len() - before.len()));
        }
        self.judge(&again, &job, id, swept)?;
        again.kill();
        eventually("no process of it is left", || (count_processes(&self.mark) == 0).then_some(()));
        Ok(calls)
    }

    /// Whether record, catalog and the counted starts agree.
    fn judge(
        &self,
        server: &Served,
        job: &Job,
        id: stepflow_model::ExecutionId,
        swept: &mut Swept,
    ) -> Result<(), String> {
        let get = |path: &str| match ask(&server.address, "GET", path, None, None)? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body))),
        };
        let view = self.scratch.view(id);
        let summary = &view.state.summary;
        let starts = job.started();
        let bytes = recorded(&self.scratch, id)?;
        match (summary.status, summary.reason) {
            (Status::Failed, Some(Reason::ExitCode)) => {
                let names: Vec<&str> = view.state.steps.iter().map(|s| s.name.as_str()).collect();
                if summary.exit_code != Some(CODE)
                    || starts != 1
                    || bytes != job.output
                    || names != ["One", "Two", "Three"]
                    || view.state.artifacts.len() != 1
                {
                    let (have, due) = (bytes.len(), job.output.len());
                    return Err(format!("{starts} starts, {have} of {due} bytes, {names:?}"));
                }
                swept.whole += 1;
            }
            (Status::Failed, Some(Reason::NotStarted)) if starts == 0 => swept.refused += 1,
            other => return Err(format!("it ended as {other:?}, with {starts} starts")),
        }
        if get(&format!("/api/executions/{id}/log/raw"))? != bytes {
            return Err("the server tells another log than is recorded".to_owned());
        }
        let name = job.body["name"].as_str().unwrap_or_default();
        let list = get(&format!("/api/executions?name={name}"))?;
        let list: serde_json::Value =
            serde_json::from_slice(&list).map_err(|error| error.to_string())?;
        let row = &list["executions"][0];
        if list["total_count"] != 1
            || row["id"] != id.to_string()
            || row["status"] != summary.status.to_string()
            || row["total_steps"] != view.state.steps.len()
        {
            return Err(format!("the catalog says {list}"));
        }
        let flaws = self.scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
        if !flaws.is_empty() {
            return Err(format!("verify: {flaws:?}"));
        }
        Ok(())
    }
}
