//! `stepflow serve` and `stepflow open`.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::json;
use stepflow_client::{ClientError, Server as Client};
use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_server::{Auth, ServeError, Server, ServerConfig};
use stepflow_sys::host::SocketDir;
use tokio::signal::unix::{SignalKind, signal};

use super::find;
use crate::{
    args::{self, OnOff},
    failure::Failure,
};

/// Serves until SIGTERM or Ctrl-C. Scripts go on.
pub fn serve(storage: Storage, args: &args::Serve) -> Result<ExitCode, Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let config = ServerConfig {
        storage,
        listen: args.listen,
        auth: match args.auth {
            OnOff::On => Auth::On,
            OnOff::Off => Auth::Off,
        },
        hosts: args.hosts.clone(),
        max_running: args.max_running,
        program: PathBuf::from("/proc/self/exe"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the server's threads: {error}")))?;
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
                (Err(error), _) | (_, Err(error)) => {
                    return Err(Failure::new(format!("cannot watch signals: {error}")));
                }
            };
        let server = Server::bind(config).await.map_err(refused)?;
        announce(&server);
        let asked = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        server.run(asked).await.map_err(refused)
    });
    runtime.shutdown_background(); // A blocking read of a slow disk must not hold up the exit.
    served?;
    let _ = writeln!(std::io::stderr(), "stopped; running executions go on");
    Ok(ExitCode::SUCCESS)
}

fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_env("STEPFLOW_LOG_LEVEL")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"))
}

fn announce(server: &Server) {
    let mut err = std::io::stderr();
    let _ = writeln!(err, "listening on {}", server.base_url());
    if let Some(url) = server.login_url() {
        let _ = writeln!(err, "log in once, within 10 minutes: {url}");
        let _ = writeln!(err, "`stepflow open` makes another link");
    }
}

fn refused(error: ServeError) -> Failure {
    let failure = Failure::from_error(&error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Prints a link that logs a browser in.
pub fn open(storage: &Storage, id: Option<&str>, as_json: bool) -> Result<ExitCode, Failure> {
    let id = id.map(|id| find(storage, id)).transpose()?;
    let run = SocketDir::open(&storage.run_dir())?;
    let server = Client::at(run.path("server.sock"));
    let answer = server.post("/api/login-code", &json!({})).map_err(|error| match error {
        ClientError::NoServer { .. } => {
            Failure::new("no server runs on this storage").hint("start one with `stepflow serve`")
        }
        error => Failure::from_error(&error),
    })?;
    let mut url = answer["url"].as_str().unwrap_or_default().to_owned();
    if let Some(id) = id {
        // The page goes there once it is logged in.
        url = url.replacen("/login#", &format!("/login?next=/executions/{id}#"), 1);
    }
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{}", json!({"url": url}))?;
    } else {
        writeln!(out, "{url}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the server to cancel what waits in its queue; `false`: it has ended.
pub fn ask_to_cancel(storage: &Storage, id: ExecutionId) -> Result<bool, Failure> {
    let run = SocketDir::open(&storage.run_dir())?;
    let server = Client::at(run.path("server.sock"));
    match server.post(&format!("/api/executions/{id}/cancel"), &json!({})) {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { status: 409, .. }) => Ok(false),
        Err(error) => Err(Failure::from_error(&error)
            .hint("start the server that accepted it, or try again in a moment")),
    }
}
