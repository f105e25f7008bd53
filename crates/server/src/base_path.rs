//! The path under which a reverse proxy offers the server, such as `/stepflow`.

use axum::http::{Request, Uri};

/// A path before all of ours: empty, or with a slash before each part and none at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// The text is no path that may stand before ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a base path has parts of letters, digits, `-`, `_`, `.` and `~`, each after a slash, as in `/tools/stepflow`"
)]
pub struct BasePathError;

impl std::str::FromStr for BasePath {
    type Err = BasePathError;

    /// A slash at the end is passed over; `/` is no base path.
    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let parts = path.strip_prefix('/').ok_or(BasePathError)?;
        let good = |part: &str| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            !matches!(part, "" | "." | "..") && part.bytes().all(letter)
        };
        if !parts.split('/').all(good) {
            return Err(BasePathError);
        }
        Ok(Self(path.to_owned()))
    }
}

impl BasePath {
    /// As it stands before a path of ours.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whatever is asked for under the base path is asked for without it: some proxies take it
    /// away, others leave it.
    pub(crate) fn strip<B>(&self, request: &mut Request<B>) {
        if self.0.is_empty() {
            return;
        }
        if let Some(uri) = stripped(request.uri(), &self.0) {
            *request.uri_mut() = uri;
        }
    }
}

fn stripped(uri: &Uri, base: &str) -> Option<Uri> {
    let target = uri.path_and_query()?.as_str().strip_prefix(base)?;
    let target = match target.as_bytes().first() {
        Some(b'/') => target.to_owned(),
        None | Some(b'?') => format!("/{target}"),
        Some(_) => return None, // Another word that begins like ours.
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_a_plain_path() {
        for (text, path) in [
            ("", ""),
            ("/", ""),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/tools/step-flow_2", "/tools/step-flow_2"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), path, "{text}");
        }
        for text in ["a", "//a", "/a//b", "/a b", "/a\"", "/%61", "/..", "/a/./b", "https://a/b"] {
            assert_eq!(text.parse::<BasePath>(), Err(BasePathError), "{text}");
        }
    }

    #[test]
    fn only_whole_parts_are_taken_away() {
        let strip = |uri: &str| stripped(&uri.parse().unwrap(), "/flow").map(|uri| uri.to_string());
        assert_eq!(strip("/flow/executions?a=/flow/b").as_deref(), Some("/executions?a=/flow/b"));
        assert_eq!(strip("/flow").as_deref(), Some("/"));
        assert_eq!(strip("/flow?a=1").as_deref(), Some("/?a=1"));
        for other in ["/flower", "/api/flow", "/"] {
            assert_eq!(strip(other), None, "{other}");
        }
    }
}
