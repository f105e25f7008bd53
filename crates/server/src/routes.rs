//! One file per family of routes.

pub(crate) mod artifacts;
pub(crate) mod download;
pub(crate) mod executions;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod labels;
pub(crate) mod log;
pub(crate) mod logs;
pub(crate) mod overview;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod session;
pub(crate) mod spec;
pub(crate) mod statistics;
pub(crate) mod tests;
pub(crate) mod tokens;
pub(crate) mod view;

pub(crate) use self::find::SEARCHES_AT_ONCE;
pub use self::find::event as search_event;
