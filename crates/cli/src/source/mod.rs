//! Where executions are looked at: a storage on this host, with or without a server on it, or a
//! server elsewhere. Every command asks the same questions and gets the same answers, in the words
//! of the API.

mod html; // a whole execution as one file, from a storage
mod local; // the records themselves
mod meta; // what is known of a log as a whole
mod remote; // a server, over TCP or a Unix socket

use std::{io::Write, time::Duration};

use stepflow_api::{
    ExecutionDetail, ExecutionList, LogMeta, LogRange, LogSearch, SearchEvent, TestList,
};
use stepflow_catalog::{Order, Without};
use stepflow_client::Target;
use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_server::TestQuery;

use crate::{
    args::Args,
    config,
    failure::Failure,
    text::{say, why},
};

pub use self::{local::Local, remote::Remote};

/// Lines of one answer, at most.
pub const LINES_MAX: usize = 5_000;

/// Which executions to list: times are microseconds UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub status: Option<String>,
    pub user: Option<String>,
    pub name: Option<String>,
    pub name_contains: Option<String>,
    pub tag: Option<String>,
    pub exit_code: Option<i32>,
    pub source: Option<String>,
    pub longer_than: Option<Duration>,
    pub shorter_than: Option<Duration>,
    /// What they must not be.
    pub without: Without,
    pub since_us: Option<i64>,
    pub until_us: Option<i64>,
    pub pinned: bool,
    pub order: Order,
    /// `next_before` of an earlier answer.
    pub before: Option<String>,
    pub limit: u32,
}

/// Which lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// The first one, from 1.
    pub from: u64,
    pub limit: usize,
    /// Words of levels, separated by commas: only those.
    pub levels: Option<String>,
    /// So many of those come first and are left out.
    pub skip: u64,
}

/// Where a search begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Line(u64),
    Cursor(String),
    /// Backwards, from the line before this one.
    Before(u64),
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    pub text: String,
    pub regex: bool,
    pub case: bool,
    pub from: From,
    pub limit: usize,
}

/// What is searched for in many logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindAll {
    pub text: String,
    pub regex: bool,
    pub case: bool,
    /// In which executions; order and limit are not asked for.
    pub query: Query,
    pub step: Option<String>,
    pub context: usize,
    /// Hits of one execution, at most.
    pub each: Option<usize>,
}

/// Answers questions about executions.
pub trait Source: Send {
    /// An execution by its id, by a beginning or end of one, or the newest by `last`.
    fn find(&mut self, text: &str) -> Result<ExecutionId, Failure>;
    fn list(&mut self, query: &Query) -> Result<ExecutionList, Failure>;
    /// An execution without its log.
    fn detail(&mut self, id: ExecutionId) -> Result<ExecutionDetail, Failure>;
    /// One page of its tests, beside what the past says of them.
    fn tests(&mut self, id: ExecutionId, query: &TestQuery) -> Result<TestList, Failure>;
    /// Lines as a page shows them.
    fn lines(&mut self, id: ExecutionId, lines: &Lines) -> Result<LogRange, Failure>;
    fn meta(&mut self, id: ExecutionId) -> Result<LogMeta, Failure>;
    fn search(&mut self, id: ExecutionId, find: &Find) -> Result<LogSearch, Failure>;
    /// Searches many logs; `sink` hears what comes of it, until it has enough (`false`). The end comes
    /// once, however many answers it took.
    fn search_all(
        &mut self,
        all: &FindAll,
        sink: &mut dyn FnMut(SearchEvent) -> bool,
    ) -> Result<(), Failure>;
    /// The recorded bytes from `from` on; how many there were.
    fn raw(&mut self, id: ExecutionId, from: u64, out: &mut dyn Write) -> Result<u64, Failure>;
    /// The bytes of an artifact.
    fn artifact(&mut self, artifact: &str, out: &mut dyn Write) -> Result<u64, Failure>;
    /// The execution as one HTML file.
    fn html(&mut self, id: ExecutionId, out: &mut dyn Write) -> Result<(), Failure>;
    /// Asks for its end; `false`: it has ended.
    fn cancel(&mut self, id: ExecutionId) -> Result<bool, Failure>;
    /// Starts the same again, on its own; the new one.
    fn rerun(&mut self, id: ExecutionId) -> Result<ExecutionId, Failure>;
    /// All that run or wait.
    fn active(&mut self) -> Result<Vec<ExecutionId>, Failure>;
    /// Waits until something may have changed, or `timeout` has passed.
    fn wait(&mut self, id: ExecutionId, timeout: Duration) -> Result<(), Failure>;
    /// Whether it failed for a reason that may pass: then it is worth asking again.
    fn is_away(&self) -> bool {
        false
    }
    /// Where the page shows an execution.
    fn page(&self, _id: ExecutionId) -> Option<String> {
        None
    }
}

/// Where to look, as the flags say.
pub enum Place {
    Here(Storage),
    There(Remote),
}

impl Place {
    /// The server that is named, else the storage.
    pub fn of(args: &Args) -> Result<Self, Failure> {
        match server(args)? {
            Some(remote) => Ok(Self::There(remote)),
            None => Ok(Self::Here(config::storage(args.storage.as_deref())?)),
        }
    }

    /// Who answers.
    pub fn source(self) -> Box<dyn Source> {
        match self {
            Self::Here(storage) => Box::new(Local::new(storage)),
            Self::There(remote) => Box::new(remote),
        }
    }
}

/// The server that is named, if one is: by a flag, or by the environment unless a flag names a
/// storage on this host.
fn server(args: &Args) -> Result<Option<Remote>, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let from_environment = set("STEPFLOW_STORAGE_PATH").map(std::path::PathBuf::from);
    let storage_flag = args.storage.is_some() && args.storage != from_environment;
    let named = match &args.server {
        Some(server) => Some(server.clone()),
        None if storage_flag => None,
        None => set("STEPFLOW_SERVER").map(|value| value.to_string_lossy().into_owned()),
    };
    let Some(text) = named.filter(|server| !server.is_empty()) else { return Ok(None) };
    let target: Target = text
        .parse()
        .map_err(|_| Failure::new(why::names_no_server(&text)).hint(why::server_forms()))?;
    let token = args.token.clone().filter(|token| !token.is_empty());
    if let Target::Tcp { https: false, host, .. } = &target
        && token.is_some()
        && !is_loopback(host)
    {
        let text = crate::text::text();
        let (warning, colon) = (text.warning, text.colon);
        let _ = writeln!(std::io::stderr(), "{warning}{colon}{}", say::in_the_clear(host));
    }
    Ok(Some(Remote::new(target, token)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
