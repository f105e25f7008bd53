//! `stepflow serve` and `stepflow open`.

use std::{
    fs::OpenOptions,
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;
use stepflow_client::{ClientError, Server as Client};
use stepflow_engine::OpenError;
use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_server::{Auth, Ended, Inheritance, ServeError, Server, ServerConfig};
use stepflow_sys::host::SocketDir;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{find, manager};
use crate::{
    args::{self, OnOff},
    config,
    failure::Failure,
    matchers::{self, Matchers},
    run::{known::ADDRESS_FILE, summary::colour},
    settings::Settings,
    source::{Remote, Source},
    text::{self, serving, why},
};

/// Threads for what blocks: starts, reads, questions to the catalog. More wait for one of them.
const BLOCKING_THREADS: usize = 128;

/// Serves until SIGTERM or Ctrl-C. Scripts go on.
pub fn serve(storage: Storage, args: &args::Serve) -> Result<ExitCode, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let file = config::file()?;
    let retention = super::prune::policy(&file.retention)?;
    let disk_min_free = config::min_free(args.disk_min_free, file.disk_min_free.as_deref())?;
    let mut settings = Settings::new(args, &environment, file.serve)?;
    let Matchers { texts, warnings } = Matchers::read(Some(storage.root()));
    matchers::selection(&settings.usual.dialect, &texts)?;
    settings.usual.problem_matchers = texts;
    settings.warnings.extend(warnings);
    let filter = EnvFilter::try_new(&settings.log_filter).map_err(|error| {
        Failure::new(why::no_log_level(&settings.log_filter, error)).hint(why::log_levels())
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour(std::io::stderr().is_terminal()))
        .init();
    for warning in &settings.warnings {
        let _ = writeln!(std::io::stderr(), "{}", serving::warning(warning));
    }
    let listener = manager::listener().map_err(|error| {
        Failure::new(why::cannot_use_listener(error)).hint(why::a_tcp_listener())
    })?;
    super::upgrade::before_serving(&storage)?;
    let address = storage.run_dir().join(ADDRESS_FILE);
    let config = ServerConfig {
        storage,
        listen: settings.listen,
        auth: match settings.auth {
            OnOff::On => Auth::On,
            OnOff::Off => Auth::Off,
        },
        hosts: settings.hosts,
        base_path: settings.base_path,
        max_running: settings.max_running,
        legacy_ws: settings.legacy_ws,
        api_key: settings.api_key,
        limits: settings.limits,
        catalog: settings.catalog,
        ingest_resume: settings.ingest_resume,
        compress_after: settings.compress_after.0,
        log_sync: settings.log_sync.into(),
        usual: settings.usual,
        disk_min_free,
        retention,
        program: PathBuf::from("/proc/self/exe"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Where no thread can be started any more, those that are there go on: some always are, as
        // more is done on them than once in this time.
        .thread_keep_alive(std::time::Duration::from_secs(600))
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| Failure::new(why::cannot_start_threads(error)))?;
    let served = runtime.block_on(async {
        let watch =
            |kind| signal(kind).map_err(|error| Failure::new(why::cannot_watch_signals(error)));
        let mut terminate = watch(SignalKind::terminate())?;
        let mut interrupt = watch(SignalKind::interrupt())?;
        let mut replace = watch(SignalKind::user_defined2())?;
        let from = Inheritance { takeover: args.takeover, listener };
        let server = Server::inherit(config, from).await.map_err(refused)?;
        // So that `run` can say where its page is. Nothing depends on it.
        note_address(&address, server.base_url());
        announce(&server);
        let asked = async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = replace.recv() => {
                        manager::reloading();
                        manager::start_successor();
                    }
                }
            }
            manager::stopping();
        };
        server.run_telling(asked, manager::ready).await.map_err(refused)
    });
    runtime.shutdown_background(); // A blocking read of a slow disk must not hold up the exit.
    let said = match served? {
        Ended::Asked => serving::stopped(),
        Ended::TakenOver { by } => serving::taken_over(by),
    };
    let _ = writeln!(std::io::stderr(), "{said}");
    Ok(ExitCode::SUCCESS)
}

/// Notes where the server listens, for this user alone, as all of a storage is.
fn note_address(path: &Path, url: &str) {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let _ = file.and_then(|mut file| file.write_all(url.as_bytes()));
}

fn announce(server: &Server) {
    let mut err = std::io::stderr();
    if let Some(process) = server.predecessor() {
        let _ = writeln!(err, "{}", serving::taking_over(process));
    }
    let _ = writeln!(err, "{}", serving::listening(server.base_url()));
    if let Some(address) = server.legacy_ws() {
        let _ = writeln!(err, "{}", serving::legacy_ws(address));
    }
    if let Some(url) = server.login_url() {
        let _ = writeln!(err, "{}", serving::log_in_once(url));
        let _ = writeln!(err, "{}", serving::open_makes_links());
    }
}

fn refused(error: ServeError) -> Failure {
    let failure = match &error {
        ServeError::OpenToAll { listen } => Failure::new(why::open_to_all(listen)),
        ServeError::Listen { listen, source } => Failure::new(why::cannot_listen(listen, source)),
        ServeError::Engine(OpenError::Locked { path, holder }) => {
            let who = holder.map_or_else(why::another_process, why::process);
            Failure::new(why::storage_locked(path.display(), who))
        }
        _ => Failure::from_error(&error),
    };
    match error.hint() {
        Some(hint) => failure.hint(text::hinted(hint)),
        None => failure,
    }
}

/// Prints where the page of a server elsewhere shows it.
pub fn open_there(
    mut server: Remote,
    id: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let url = match id {
        Some(id) => {
            let id = server.find(id)?;
            server.page(id)
        }
        None => server.root(),
    };
    let url = url.ok_or_else(|| Failure::new(why::socket_has_no_page()).hint(why::open_here()))?;
    print_link(&url, as_json)
}

fn print_link(url: &str, as_json: bool) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{}", json!({"url": url}))?;
    } else {
        writeln!(out, "{url}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a link that logs a browser in.
pub fn open(storage: &Storage, id: Option<&str>, as_json: bool) -> Result<ExitCode, Failure> {
    let id = id.map(|id| find(storage, id)).transpose()?;
    let run = SocketDir::open(&storage.run_dir())?;
    let server = Client::at(run.path("server.sock"));
    let answer = server.post("/api/login-code", &json!({})).map_err(|error| match error {
        ClientError::NoServer { .. } => {
            Failure::new(why::no_server_here()).hint(why::start_server())
        }
        error => Failure::from_error(&error),
    })?;
    let mut url = answer["url"].as_str().unwrap_or_default().to_owned();
    if let Some(id) = id {
        // The page goes there once it is logged in.
        url = url.replacen("/login#", &format!("/login?next=/executions/{id}#"), 1);
    }
    print_link(&url, as_json)
}

/// Asks the server to cancel what waits in its queue; `false`: it has ended.
pub fn ask_to_cancel(storage: &Storage, id: ExecutionId) -> Result<bool, Failure> {
    let run = SocketDir::open(&storage.run_dir())?;
    let server = Client::at(run.path("server.sock"));
    match server.post(&format!("/api/executions/{id}/cancel"), &json!({})) {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { status: 409, .. }) => Ok(false),
        Err(error) => Err(Failure::from_error(&error).hint(why::ask_its_server())),
    }
}
