//! `stepflow rerun`: the same again.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use stepflow_model::{ExecutionId, Source, Spec};
use stepflow_record::Storage;
use stepflow_sys::clock;

use super::{find, logs, look, show};
use crate::{
    args::{self, Json, Output, Rerun},
    failure::Failure,
    run::{self, spec, summary::colour, terminal},
    source::{Remote, Source as _},
    text::why,
};

/// The same on a server elsewhere: it runs there, its output is followed here.
pub fn rerun_there(mut server: Remote, args: &Rerun) -> Result<ExitCode, Failure> {
    let id = server.find(&args.id)?;
    let environment: BTreeMap<_, _> = args.env.iter().cloned().collect();
    let body = json!({"environment": environment});
    let answer = server.post(&format!("/api/executions/{id}/rerun"), &body)?;
    let new: ExecutionId = answer["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| Failure::new(why::server_does_not_say()).hint(why::other_version()))?;
    if args.show.detach {
        say(new, args.json.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let output = run::output(args.show.output, false)?;
    let raw = output == Output::Raw;
    let json = Json { json: output == Output::Json || args.json.json };
    let follow = args::Logs { follow: true, exit_status: true, raw, json, ..args::Logs::of(new) };
    if output == Output::Quiet {
        while server.detail(new)?.execution.completed_at.is_none() {
            server.wait(new, Duration::from_secs(1))?;
        }
        let execution = server.detail(new)?.execution;
        if execution.status != "completed" {
            let _ = writeln!(io::stderr(), "{}", show::last_row(&execution, false));
        }
        return Ok(ExitCode::from(look::exit_code(&execution)));
    }
    let code = logs::logs(&mut server, &follow, false)?;
    if !raw && !json.json {
        let execution = server.detail(new)?.execution;
        writeln!(
            io::stdout(),
            "{}",
            show::last_row(&execution, colour(io::stdout().is_terminal()))
        )?;
    }
    Ok(code)
}

/// Prints the id of what was started and is not followed.
fn say(id: ExecutionId, as_json: bool) -> io::Result<()> {
    if as_json {
        writeln!(io::stdout(), "{}", json!({"id": id}))
    } else {
        writeln!(io::stdout(), "{id}")
    }
}

pub fn rerun(storage: &Storage, args: &Rerun) -> Result<ExitCode, Failure> {
    let id = find(storage, &args.id)?;
    let mut show = args.show.clone();
    if args.json.json && !show.detach {
        show.output = Output::Json;
    }
    let (spec, env) = again(storage, id, &args.env, &show)?;
    if show.detach {
        drop(run::start(storage, &spec, env, true)?);
        say(spec.id, args.json.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    run::execute(storage, &spec, env, &show)
}

/// The same, on its own.
pub fn detached(storage: &Storage, id: ExecutionId) -> Result<ExecutionId, Failure> {
    let show = args::Show {
        detach: true,
        output: Output::Auto,
        tail: 0,
        failure_lines: 0,
        prefix: Vec::new(),
    };
    let (spec, env) = again(storage, id, &[], &show)?;
    drop(run::start(storage, &spec, env, true)?);
    Ok(spec.id)
}

type Environment = Vec<(OsString, OsString)>;

/// What is to be run, and with which environment.
fn again(
    storage: &Storage,
    id: ExecutionId,
    env: &[(String, String)],
    show: &args::Show,
) -> Result<(Spec, Environment), Failure> {
    let old = storage.spec(id)?;
    if !old.can_rerun() {
        return Err(Failure::new(why::no_command(id)).hint(why::came_as_output()));
    }
    let given = |name: &String| env.iter().any(|(given, _)| given == name);
    let missing: Vec<String> = old
        .mask_env
        .iter()
        .filter(|name| !given(name) && std::env::var_os(name).is_none())
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Failure::new(why::had_secrets(id, missing)).hint(why::give_secrets()));
    }
    // What it was declared with, and over it what is given now.
    let mut declared = old.env.clone();
    declared.extend(env.iter().cloned());
    let is_secret = |name: &String| old.mask_env.contains(name);
    let output = run::output(show.output, old.pty.is_some())?;
    let spec = Spec {
        env: declared.clone().into_iter().filter(|(name, _)| !is_secret(name)).collect(),
        env_inherited: spec::inherited(),
        user: spec::user(),
        source: Source::Cli,
        bound: !show.detach,
        split_stderr: old.pty.is_none() && (old.split_stderr || run::splits(output)),
        pty: old.pty.map(|size| terminal::own_size().unwrap_or(size)),
        ..old.rerun(spec::new_id(), clock::wall_us())
    };
    let env = spec::environment(&spec, &declared);
    Ok((spec, env))
}
