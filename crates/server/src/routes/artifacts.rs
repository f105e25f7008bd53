//! Artifacts: listed and downloaded.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use nix::fcntl::OFlag;
use serde::Deserialize;
use stepflow_api::{Artifact, ArtifactList};
use stepflow_catalog::LIST_LIMIT_MAX;
use stepflow_model::ArtifactId;

use crate::{
    app::App,
    extract::{Aid, Id, Params},
    problem::Problem,
    range, security,
};

/// Rows of a list unless asked otherwise.
const LIMIT_DEFAULT: u32 = 50;

#[derive(Debug, Deserialize)]
pub(crate) struct ListParams {
    limit: Option<u32>,
    before: Option<String>,
}

/// `GET /api/artifacts`: of all executions, newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<ArtifactList>, Problem> {
    let before = params
        .before
        .filter(|text| !text.is_empty())
        .map(|text| {
            parse_before(&text).ok_or_else(|| {
                Problem::bad_request("`before` must be a `next_before` of an earlier answer")
            })
        })
        .transpose()?;
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIST_LIMIT_MAX);
    let mut found =
        app.engine.query(move |reader| reader.artifacts_page(limit + 1, before)).await?;
    let has_more = found.len() > limit as usize && limit > 0;
    found.truncate(limit as usize);
    let next_before = found.last().filter(|_| has_more).map(|(execution, artifact)| {
        let id = ArtifactId { execution: *execution, index: artifact.index };
        format!("{}.{id}", artifact.created_us)
    });
    let artifacts: Vec<Artifact> =
        found.iter().map(|(execution, artifact)| Artifact::new(*execution, artifact)).collect();
    Ok(Json(ArtifactList { count: artifacts.len(), artifacts, has_more, next_before }))
}

fn parse_before(text: &str) -> Option<(i64, ArtifactId)> {
    let (created_us, id) = text.split_once('.')?;
    Some((created_us.parse().ok()?, id.parse().ok()?))
}

/// `GET /api/artifacts/execution/{id}`.
pub(crate) async fn of_execution(
    State(app): State<App>,
    Id(id): Id,
) -> Result<Json<ArtifactList>, Problem> {
    let handle = app.engine.execution(id).await?;
    let artifacts: Vec<Artifact> =
        handle.read(|state| state.artifacts.iter().map(|file| Artifact::new(id, file)).collect());
    Ok(Json(ArtifactList { count: artifacts.len(), artifacts, has_more: false, next_before: None }))
}

/// `GET /api/artifacts/{aid}`.
pub(crate) async fn one(State(app): State<App>, Aid(id): Aid) -> Result<Json<Artifact>, Problem> {
    let artifact = app.engine.artifact(id).await?.ok_or_else(Problem::artifact_unknown)?;
    Ok(Json(Artifact::new(id.execution, &artifact)))
}

/// `GET /api/artifacts/{aid}/download`: the bytes, never as a page of ours.
pub(crate) async fn download(
    State(app): State<App>,
    Aid(id): Aid,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let artifact = app.engine.artifact(id).await?.ok_or_else(Problem::artifact_unknown)?;
    let shown = Artifact::new(id.execution, &artifact);
    let missing = || {
        let why =
            artifact.problem.clone().unwrap_or_else(|| "it has not been copied yet".to_owned());
        Problem::new(StatusCode::NOT_FOUND, "artifact-missing", format!("there is no copy: {why}"))
    };
    let digest = artifact.sha256.clone().ok_or_else(missing)?;
    if digest.len() != 64
        || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(missing()); // A record that was tampered with: its text never becomes a path.
    }
    let path = app.engine.storage().artifact_dir(id.execution).join(&digest);
    let opened = tokio::task::spawn_blocking(move || {
        let file =
            OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        io::Result::<(File, u64)>::Ok((file, meta.len()))
    });
    let (file, size) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Ok(Err(error)) => return Err(Problem::internal(&error)),
        Err(_) => return Err(Problem::closing()),
    };
    let mut response = range::answer(&headers, file, size, inert_type(&shown.file_extension));
    range::set(&mut response, header::CONTENT_DISPOSITION, &disposition(&shown.name));
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(security::CSP_SANDBOX));
    Ok(response)
}

/// Types that no browser runs; everything else is only bytes.
fn inert_type(extension: &str) -> &'static str {
    match extension {
        ".txt" | ".log" => "text/plain; charset=utf-8",
        ".csv" => "text/csv; charset=utf-8",
        ".json" => "application/json",
        ".png" => "image/png",
        ".jpg" | ".jpeg" => "image/jpeg",
        ".gif" => "image/gif",
        _ => "application/octet-stream",
    }
}

/// `attachment` with the name twice: plain for old clients, encoded for the others (RFC 6266).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .take(100)
        .map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' })
        .collect();
    let plain =
        if plain.trim_matches(['.', ' ']).is_empty() { "artifact".to_owned() } else { plain };
    let mut encoded = String::new();
    // Directions and controls stay out of the name that a person is shown.
    for c in name.chars().filter(|c| !c.is_control() && !is_direction(*c)).take(100) {
        let mut buffer = [0; 4];
        for byte in c.encode_utf8(&mut buffer).bytes() {
            if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push('%');
                encoded.push_str(&crate::credential::hex(&[byte]).to_ascii_uppercase());
            }
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        let cases = [
            ("report.html", "attachment; filename=\"report.html\"; filename*=UTF-8''report.html"),
            ("a\"b\r\nX: y", "attachment; filename=\"a_b__X_ y\"; filename*=UTF-8''a%22bX%3A%20y"),
            ("é", "attachment; filename=\"_\"; filename*=UTF-8''%C3%A9"),
            ("x\u{202e}gpj.exe", "attachment; filename=\"x_gpj.exe\"; filename*=UTF-8''xgpj.exe"),
            ("..", "attachment; filename=\"artifact\"; filename*=UTF-8''.."),
        ];
        for (name, expected) in cases {
            assert_eq!(disposition(name), expected);
        }
    }
}
