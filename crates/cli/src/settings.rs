//! What a server is told, from three places: a flag beats the environment, the environment beats
//! `stepflow.toml`. The variables are those that the original's documentation names; one that means
//! nothing here is answered with a warning that says why, one that asks for what we do not have is
//! refused. The list for people: `docs/reference/configuration.md`.

#[cfg(test)]
mod tests; // flags, variables and lines together

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use stepflow_catalog::{Options, Role};
use stepflow_server::{ApiKey, BasePath, Limits};

use crate::{
    args::{self, LogSync, OnOff, TimeOrOff},
    config::ServeFile,
    failure::Failure,
    text::{serving, why},
};

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const MAX_RUNNING_DEFAULT: usize = 1_000;
const INGEST_RESUME_DEFAULT: Duration = Duration::from_secs(60);
const COMPRESS_AFTER_DEFAULT: Duration = Duration::from_secs(60);

/// Everything but the storage.
#[derive(Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub auth: OnOff,
    pub hosts: Vec<String>,
    pub base_path: BasePath,
    pub max_running: usize,
    pub ingest_resume: Duration,
    pub compress_after: TimeOrOff,
    pub log_sync: LogSync,
    pub usual: stepflow_engine::Usual,
    pub legacy_ws: Option<SocketAddr>,
    pub api_key: Option<ApiKey>,
    pub limits: Limits,
    pub catalog: Options,
    /// For the log on standard error.
    pub log_filter: String,
    /// What was set and has no effect, and why.
    pub warnings: Vec<String>,
}

/// The environment, as a question: tests ask their own.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Brings the three places together.
    pub fn new(
        args: &args::Serve,
        environment: Lookup<'_>,
        file: ServeFile,
    ) -> Result<Self, Failure> {
        let env = Env { lookup: environment };
        let mut warnings = Vec::new();
        for (name, why) in IGNORED {
            if env.text(name).is_some() {
                warnings.push(serving::no_effect(name, why()));
            }
        }
        let mut catalog = Options::from(Role::Server);
        if let Some(pages) = env.number("STEPFLOW_CACHE_SIZE")?.or(file.cache_size) {
            catalog.cache_pages = pages;
        }
        if let Some(pages) = env.number("STEPFLOW_WAL_AUTOCHECKPOINT")?.or(file.wal_autocheckpoint)
        {
            catalog.wal_autocheckpoint = pages;
        }
        let defaults = Limits::default();
        let limits = Limits {
            upload_bytes: args.upload_max.or(file.upload_max).unwrap_or(defaults.upload_bytes),
            streams: args
                .streams_per_caller
                .or(file.streams_per_caller)
                .unwrap_or(defaults.streams),
            requests_per_s: args
                .requests_per_second
                .or(file.requests_per_second)
                .unwrap_or(defaults.requests_per_s),
            ..defaults
        };
        let auth = auth(args.auth, &env, file.auth, &mut warnings)?;
        let usual = usual(&env, args, &file)?;
        let mut hosts = file.hosts;
        hosts.extend(args.hosts.iter().cloned());
        let level = env.text("STEPFLOW_LOG_LEVEL").or(file.log_level);
        Ok(Self {
            listen: match args.listen {
                Some(listen) => listen,
                None => listen(&env)?.or(file.listen).unwrap_or(LISTEN_DEFAULT),
            },
            auth,
            hosts,
            base_path: match args.base_path.clone() {
                Some(path) => path,
                None => base_path(&env, file.base_path)?,
            },
            max_running: args.max_running.or(file.max_running).unwrap_or(MAX_RUNNING_DEFAULT),
            ingest_resume: match args.ingest_resume {
                Some(time) => time,
                None => ingest_resume(&env, file.ingest_resume.as_deref())?,
            },
            compress_after: match args.compress_after {
                Some(after) => after,
                None => compress_after(&env, file.compress_after.as_deref())?,
            },
            log_sync: match args.log_sync {
                Some(mode) => mode,
                None => log_sync(&env)?.or(file.log_sync).unwrap_or(LogSync::Interval),
            },
            usual,
            legacy_ws: match args.legacy_ws {
                Some(address) => Some(address),
                None => legacy_ws(&env, &mut warnings)?.or(file.legacy_ws),
            },
            api_key: api_key(&env, auth, &mut warnings)?,
            limits,
            catalog,
            log_filter: level.map_or_else(|| "warn".to_owned(), |level| log_filter(&level)),
            warnings,
        })
    }
}

/// The path that a proxy puts before ours, from the environment or the file.
fn base_path(env: &Env<'_>, file: Option<String>) -> Result<BasePath, Failure> {
    let text = env.text("STEPFLOW_BASE_PATH").or(file).unwrap_or_default();
    text.parse()
        .map_err(|error| Failure::new(why::no_base_path(text, error)).hint(why::base_path()))
}

/// How long a stream is waited for, from the environment or the file.
fn ingest_resume(env: &Env<'_>, file: Option<&str>) -> Result<Duration, Failure> {
    let text = env.text("STEPFLOW_INGEST_RESUME");
    match text.as_deref().or(file) {
        Some(text) => args::duration(text).map_err(Failure::new),
        None => Ok(INGEST_RESUME_DEFAULT),
    }
}

/// How scripts' processes are held together, and what becomes of those that outlive them.
fn usual(
    env: &Env<'_>,
    args: &args::Serve,
    file: &ServeFile,
) -> Result<stepflow_engine::Usual, Failure> {
    let usual = stepflow_engine::Usual::default();
    let containment = args.containment.map_or_else(|| env.word("STEPFLOW_CONTAINMENT"), ok)?;
    let leftover = args.leftover.map_or_else(|| env.word("STEPFLOW_LEFTOVER"), ok)?;
    let full = args.on_disk_full.map_or_else(|| env.word("STEPFLOW_ON_DISK_FULL"), ok)?;
    let text = env.text("STEPFLOW_DRAIN_TIMEOUT").or_else(|| file.drain_timeout.clone());
    let drain_timeout = match (args.drain_timeout, text) {
        (Some(time), _) => time,
        (None, Some(text)) => args::duration(&text).map_err(Failure::new)?,
        (None, None) => usual.drain_timeout,
    };
    let text = env.text("STEPFLOW_LOG_MAX_BYTES").or_else(|| file.log_max_bytes.clone());
    let log_max_bytes = match (args.log_max_bytes, text) {
        (Some(bytes), _) => bytes,
        (None, Some(text)) => args::log_size(&text).map_err(Failure::new)?,
        (None, None) => usual.log_max_bytes,
    };
    let text = env.text("STEPFLOW_DIALECT").or_else(|| file.dialect.clone());
    let dialect = match (&args.dialect, text) {
        (Some(list), _) => list.clone(),
        (None, Some(text)) => args::dialects(&text).map_err(Failure::new)?,
        (None, None) => usual.dialect,
    };
    let junit = match (args.junit.as_slice(), env.text("STEPFLOW_JUNIT")) {
        ([], Some(glob)) => vec![args::junit(&glob).map_err(Failure::new)?],
        ([], None) => file
            .junit
            .iter()
            .map(|glob| args::junit(glob).map_err(Failure::new))
            .collect::<Result<_, _>>()?,
        (globs, _) => globs.to_vec(),
    };
    let log_full = args.log_full.map_or_else(|| env.word("STEPFLOW_LOG_FULL"), ok)?;
    Ok(stepflow_engine::Usual {
        log_max_bytes,
        log_full: log_full.or(file.log_full).map_or(usual.log_full, Into::into),
        containment: containment.or(file.containment).map_or(usual.containment, Into::into),
        leftover: leftover.or(file.leftover).map_or(usual.leftover, Into::into),
        on_disk_full: full.or(file.on_disk_full).map_or(usual.on_disk_full, Into::into),
        drain_timeout,
        dialect,
        // Read where the storage is known.
        problem_matchers: usual.problem_matchers,
        junit,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "one arm of a choice whose other may fail")]
fn ok<T>(given: T) -> Result<Option<T>, Failure> {
    Ok(Some(given))
}

/// When logs are compressed, from the environment or the file.
fn compress_after(env: &Env<'_>, file: Option<&str>) -> Result<TimeOrOff, Failure> {
    let text = env.text("STEPFLOW_COMPRESS_AFTER");
    match text.as_deref().or(file) {
        Some(text) => args::time_or_off(text).map_err(Failure::new),
        None => Ok(TimeOrOff(Some(COMPRESS_AFTER_DEFAULT))),
    }
}

/// When output is made durable, from the environment.
fn log_sync(env: &Env<'_>) -> Result<Option<LogSync>, Failure> {
    let parse = |text: String| {
        <LogSync as clap::ValueEnum>::from_str(&text, true)
            .map_err(|_| Failure::new(why::no_log_sync(&text)))
    };
    env.text("STEPFLOW_LOG_SYNC").map(parse).transpose()
}

/// Words in the language of whoever reads them.
type Say = fn() -> String;

/// Variables of the original's documentation that mean nothing here.
const IGNORED: [(&str, Say); 2] = [
    ("STEPFLOW_BUFFER_SIZE", serving::never_buffered),
    ("STEPFLOW_ENV", serving::one_way_of_running),
];

struct Env<'a> {
    lookup: Lookup<'a>,
}

impl Env<'_> {
    /// A variable that is set to something.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// One of a few words.
    fn word<T: clap::ValueEnum>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let words = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        match T::from_str(&text, true) {
            Ok(word) => Ok(Some(word)),
            Err(_) => Err(Failure::new(why::no_word(name, text, words.join(", ")))),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::new(why::no_number(name, text)).hint(why::all_settings())),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => {
                Err(Failure::new(why::neither_true_nor_false(name, text))
                    .hint(why::true_or_false()))
            }
        }
    }

    fn address(&self, name: &str) -> Result<Option<IpAddr>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Some(LISTEN_DEFAULT.ip()));
        }
        match text.trim_matches(['[', ']']).parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(Failure::new(why::no_address(name, text)).hint(why::an_address())),
        }
    }
}

fn listen(env: &Env<'_>) -> Result<Option<SocketAddr>, Failure> {
    if let Some(text) = env.text("STEPFLOW_LISTEN") {
        let address = text.parse().map_err(|_| {
            Failure::new(why::no_address_with_port("STEPFLOW_LISTEN", text))
                .hint(why::such_as("127.0.0.1:8080"))
        })?;
        return Ok(Some(address));
    }
    let (host, port) = (env.address("STEPFLOW_HOST")?, env.number("STEPFLOW_PORT")?);
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let host = host.unwrap_or(LISTEN_DEFAULT.ip());
    Ok(Some(SocketAddr::new(host, port.unwrap_or(LISTEN_DEFAULT.port()))))
}

fn legacy_ws(env: &Env<'_>, warnings: &mut Vec<String>) -> Result<Option<SocketAddr>, Failure> {
    let (long, short) =
        (env.number("STEPFLOW_WEBSOCKET_PORT")?, env.number::<u16>("STEPFLOW_WS_PORT")?);
    if let (Some(long), Some(short)) = (long, short)
        && long != short
    {
        return Err(Failure::new(why::same_setting(
            format!("STEPFLOW_WEBSOCKET_PORT={long}"),
            format!("STEPFLOW_WS_PORT={short}"),
        ))
        .hint(why::set_one()));
    }
    let host = env.address("STEPFLOW_WEBSOCKET_HOST")?;
    let Some(port) = long.or(short) else {
        if host.is_some() {
            warnings.push(serving::no_effect_without(
                "STEPFLOW_WEBSOCKET_HOST",
                "STEPFLOW_WEBSOCKET_PORT",
            ));
        }
        return Ok(None);
    };
    Ok(Some(SocketAddr::new(host.unwrap_or(LISTEN_DEFAULT.ip()), port)))
}

/// Who may call. What was asked for and cannot be had is refused: ignored, it would leave a server
/// less protected than its owner believes.
fn auth(
    flag: Option<OnOff>,
    env: &Env<'_>,
    file: Option<OnOff>,
    warnings: &mut Vec<String>,
) -> Result<OnOff, Failure> {
    const METHOD: &str = "STEPFLOW_AUTH_METHOD";
    const OIDC: &str = "STEPFLOW_AUTH_OIDC_URL";
    let enabled = env.flag("STEPFLOW_AUTH_ENABLED")?;
    let method = env.text(METHOD).map(|method| method.to_ascii_lowercase());
    let asked = enabled.or_else(|| (method.as_deref() == Some("none")).then_some(false));
    let asked = asked.map(|on| if on { OnOff::On } else { OnOff::Off });
    let auth = flag.or(asked).or(file).unwrap_or(OnOff::On);
    let named = method.is_some_and(|method| !matches!(method.as_str(), "token" | "none"));
    for (name, missing) in [(METHOD, named), (OIDC, env.text(OIDC).is_some())] {
        if !missing {
            continue;
        }
        if auth == OnOff::Off {
            warnings.push(serving::no_effect(name, serving::auth_is_off()));
            continue;
        }
        return Err(Failure::new(why::no_such_login(name)).hint(why::which_logins()));
    }
    if auth == OnOff::On && env.text(METHOD).is_some_and(|m| m.eq_ignore_ascii_case("none")) {
        return Err(Failure::new(why::auth_contradicts()).hint(why::auth_off()));
    }
    Ok(auth)
}

fn api_key(
    env: &Env<'_>,
    auth: OnOff,
    warnings: &mut Vec<String>,
) -> Result<Option<ApiKey>, Failure> {
    let Some(secret) = env.text("STEPFLOW_API_KEY") else { return Ok(None) };
    if auth == OnOff::Off {
        warnings.push(serving::no_effect("STEPFLOW_API_KEY", serving::auth_is_off()));
    }
    match ApiKey::new(&secret) {
        Some(key) => Ok(Some(key)),
        None => Err(Failure::new(why::key_too_short(ApiKey::CHARS_MIN)).hint(why::make_a_key())),
    }
}

/// A level as the original spelled it, or a filter as `tracing` has it.
fn log_filter(level: &str) -> String {
    match level.to_ascii_uppercase().as_str() {
        "WARNING" | "WARN" => "warn".to_owned(),
        "CRITICAL" | "FATAL" | "ERROR" => "error".to_owned(),
        "DEBUG" | "INFO" | "TRACE" | "OFF" => level.to_ascii_lowercase(),
        _ => level.to_owned(),
    }
}
