//! One file per family of routes.

pub(crate) mod artifacts;
pub(crate) mod executions;
pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod session;
pub(crate) mod tokens;
