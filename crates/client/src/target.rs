//! Which server: a Unix socket, or a URL.

use std::{fmt, path::PathBuf};

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket on this host.
    Socket(PathBuf),
    /// A URL.
    Tcp {
        /// With TLS.
        https: bool,
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// The path below which the server answers: empty, or beginning with `/` and not ending so.
        base: String,
    },
}

/// A text names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no server: http://HOST:PORT, https://HOST or unix:PATH do")]
pub struct TargetError(String);

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Socket(path.into())) };
        }
        let (https, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(wrong()),
            None => (false, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // A login in a URL would be shown in lists of processes, and none is taken.
        if authority.contains(['@', '?', '#']) || path.contains(['?', '#', ' ']) {
            return Err(wrong());
        }
        let default = if https { 443 } else { 80 };
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            (host, port.strip_prefix(':').or(Some(port).filter(|port| port.is_empty())))
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            }
        };
        let port = match port.ok_or_else(wrong)? {
            "" => default,
            port => port.parse().map_err(|_| wrong())?,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        let base = path.trim_end_matches('/').to_owned();
        Ok(Self::Tcp { https, host: host.to_owned(), port, base })
    }
}

impl Target {
    /// The path below which it answers.
    pub fn base_path(&self) -> &str {
        match self {
            Self::Socket(_) => "",
            Self::Tcp { base, .. } => base,
        }
    }

    /// The header `Host`.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Socket(_) => "localhost".to_owned(),
            Self::Tcp { https, host, port, .. } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                if *port == if *https { 443 } else { 80 } { host } else { format!("{host}:{port}") }
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { https, base, .. } => {
                let scheme = if *https { "https" } else { "http" };
                write!(f, "{scheme}://{}{base}", self.host())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_urls_and_sockets() {
        for (text, shown, base) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", ""),
            ("build.example:9000/", "http://build.example:9000", ""),
            ("https://ci.example", "https://ci.example", ""),
            ("https://ci.example:443/flow/", "https://ci.example/flow", "/flow"),
            ("http://[::1]:8080", "http://[::1]:8080", ""),
            ("unix:/run/server.sock", "unix:/run/server.sock", ""),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!((target.to_string().as_str(), target.base_path()), (shown, base), "{text}");
        }
        for text in
            ["", "http://", "ftp://x", "http://a:b", "http://me:pw@x", "unix:", "http://a b"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
