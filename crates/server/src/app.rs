//! What all routes share.

use std::{net::SocketAddr, sync::Arc};

use stepflow_engine::Engine;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::Auth, credential::Keyring, login::Logins};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) auth: Auth,
    pub(crate) keyring: Keyring,
    pub(crate) logins: Logins,
    /// Names under which we may be called, in lower case, besides loopback ones.
    pub(crate) hosts: Vec<String>,
    /// Where browsers on this host find us: `http://127.0.0.1:8080`.
    pub(crate) base_url: String,
    /// Connections, streams, notes of use: everything that runs beside a request.
    pub(crate) tasks: TaskTracker,
    /// Streams end when this is cancelled.
    pub(crate) closing: CancellationToken,
}

impl App {
    pub(crate) fn new(engine: Engine, auth: Auth, hosts: &[String], local: SocketAddr) -> Self {
        let shown = if local.ip().is_unspecified() {
            SocketAddr::from(([127, 0, 0, 1], local.port()))
        } else {
            local
        };
        let mut hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        if !local.ip().is_unspecified() {
            hosts.push(match local {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            });
        }
        Self(Arc::new(Inner {
            engine,
            auth,
            keyring: Keyring::default(),
            logins: Logins::default(),
            hosts,
            base_url: format!("http://{shown}"),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// A link that logs a browser in, once; `None`: no randomness.
    pub(crate) fn login_url(&self) -> Option<String> {
        let code = self.logins.issue(stepflow_sys::clock::wall_us())?;
        // In the fragment: it reaches no server log and no referrer.
        Some(format!("{}/login#code={code}", self.base_url))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
