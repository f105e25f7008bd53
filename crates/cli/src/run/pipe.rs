//! `stepflow pipe`: record what is piped in, show what is recorded.

use std::{
    collections::BTreeMap,
    env,
    io::{IsTerminal, Read},
    process::ExitCode,
};

use nix::sys::signal::Signal;
use stepflow_model::{Reason, Source, Spec, Status, Summary};
use stepflow_record::Storage;
use stepflow_sys::clock;

use super::{
    Options,
    follow::Follower,
    known::Known,
    spec::new_id,
    start,
    watch::{Left, Signals, Watch},
};
use crate::{
    args::Pipe,
    failure::{self, Failure},
    matchers::{Matchers, selection},
    text::why,
};

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 128 + Signal::SIGINT as u8;

pub fn pipe(storage: &Storage, args: &Pipe) -> Result<ExitCode, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(
            Failure::new(why::nothing_piped()).hint("make 2>&1 | stepflow pipe --name build")
        );
    }
    let output = super::output(args.output, false)?;
    let spec = spec(args, Matchers::read_and_tell(Some(storage.root())))?;
    // The recorder's own environment: there is no script, and it looks for masked values there.
    let launched = start(storage, &spec, env::vars_os().collect(), false)?;
    let options = Options {
        storage: storage.clone(),
        tail: args.tail,
        failure_lines: args.failure_lines,
        prefix: args.prefix.clone(),
        known: Known::ask(storage, &spec),
    };
    let mut watch = Watch {
        follower: Follower::open(storage, spec.id)?,
        display: super::display(output, false, options),
        keyboard: None,
        raw: None,
        signals: Signals::EndInput,
    };
    match watch.until_the_end()? {
        Left::Ended => {}
        // Nobody reads our output any more (`| head`): as any program in a pipe, we go, and the
        // recorder, which hears of it, with us.
        Left::Unread | Left::Detached | Left::Signal(_) => {
            drop(launched);
            return Ok(ExitCode::from(128 + Signal::SIGPIPE as u8));
        }
    }
    let mut rest = Vec::new();
    let _ = (&launched.link).read_to_end(&mut rest); // The recorder has gone: the record is closed.
    let code = exit_code(&watch.follower.view.state.summary);
    crate::commands::project(storage);
    Ok(ExitCode::from(code))
}

/// 0: everything is recorded and no critical step failed.
fn exit_code(summary: &Summary) -> u8 {
    match (summary.status, summary.reason) {
        (Status::Completed, _) => 0,
        (Status::Failed, Some(Reason::StepError)) => 1,
        (Status::Cancelled, _) => INTERRUPTED,
        _ => failure::OWN,
    }
}

fn spec(args: &Pipe, matchers: BTreeMap<String, String>) -> Result<Spec, Failure> {
    selection(&args.dialect.dialect, &matchers)?;
    let cwd = env::current_dir().map_err(|error| {
        Failure::new(why::working_directory_gone(error)).hint(why::change_directory())
    })?;
    Ok(Spec {
        name: args.name.clone(),
        cwd: cwd.to_string_lossy().into_owned(),
        mask_env: args.mask_env.clone(),
        tags: args.tags.clone(),
        user: env::var("USER").unwrap_or_default(),
        bound: true,
        stop_on_error: args.stop_on_error,
        log_sync: args.log_sync.into(),
        log_max_bytes: args.log.log_max_bytes,
        log_full: args.log.log_full.into(),
        on_disk_full: args.on_disk_full.into(),
        dialect: args.dialect.dialect.clone(),
        junit: stepflow_model::JunitFiles::wanted(args.junit.junit.clone()),
        problem_matchers: matchers,
        ..Spec::new(new_id(), Source::Pipe, clock::wall_us())
    })
}
