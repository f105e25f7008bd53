//! Artifacts: listed, downloaded, added and removed.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
};

use axum::{
    Json,
    extract::{FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use nix::fcntl::OFlag;
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{Artifact, ArtifactList, ArtifactPreview, DeleteAnswer};
use stepflow_catalog::{ArtifactQuery, LIST_LIMIT_MAX};
use stepflow_engine::Upload;
use stepflow_model::{ArtifactId, ExecutionId, StepId};
use stepflow_record::Storage;

use crate::{
    app::App,
    extract::{Aid, Flag, Id, Params},
    preview,
    problem::Problem,
    range, security,
    upload::{self, Received},
};

/// Rows of a list unless asked otherwise.
const LIMIT_DEFAULT: u32 = 50;
/// Longest name or description, and what a form may hold besides its file.
const TEXT_BYTES_MAX: usize = 4096;
const FORM_FIELDS_MAX: usize = 16;
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// The query of a list.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListParams {
    /// How many at most; more than 1,000 count as that.
    #[schemars(extend("default" = LIMIT_DEFAULT))]
    limit: Option<u32>,
    /// How many to leave out first; `before` is faster.
    offset: Option<u64>,
    /// `next_before` of an earlier answer: the page behind it.
    #[schemars(regex(
        pattern = r"^(-?\d{1,18}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-a\d{1,9})?$"
    ))]
    before: Option<String>,
    /// Only those whose path has this in it, without regard to case.
    name: Option<String>,
    /// Only those of this execution.
    execution_id: Option<String>,
    /// Only those of this step.
    step_id: Option<String>,
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
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let execution = given(params.execution_id)
        .map(|text| text.parse().map_err(|_| Problem::execution_unknown(&text)))
        .transpose()?;
    let step = match given(params.step_id) {
        Some(text) => Some(step_id(&app, text).await?),
        None => None,
    };
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIST_LIMIT_MAX);
    let query = ArtifactQuery {
        execution: execution.or(step.map(|step| step.execution)),
        step: step.map(|step| step.index),
        name_contains: given(params.name),
        before,
        offset: params.offset.unwrap_or(0),
        limit: limit + 1,
    };
    let mut found = if step.is_some_and(|step| query.execution != Some(step.execution)) {
        Vec::new() // A step of another execution.
    } else {
        app.engine.query(move |reader| reader.artifacts_page(&query)).await?
    };
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

/// A step by our id or by the one that the original StepFlow Monitor gave it.
async fn step_id(app: &App, text: String) -> Result<StepId, Problem> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let found = app.engine.query(move |reader| reader.step_by_origin(&text)).await?;
    found.ok_or_else(|| Problem::bad_request("`step_id` must be the `id` of a step"))
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
    let (shown, file, size) = open_copy(&app, id).await?;
    let mut response = range::answer(&headers, file, size, inert_type(&shown.file_extension));
    range::set(&mut response, header::CONTENT_DISPOSITION, &disposition(&shown.name));
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(security::CSP_SANDBOX));
    Ok(response)
}

/// The query of an artifact's content.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ContentParams {
    /// Of an HTML document: its own inline scripts may run, without network and without any origin.
    #[serde(default)]
    scripts: Flag,
}

/// `GET /api/artifacts/{aid}/content`: what a page shows in place. Images, sound and pictures in
/// motion have their type; an HTML document is one of an opaque origin that can reach nothing.
pub(crate) async fn content(
    State(app): State<App>,
    Aid(id): Aid,
    Params(params): Params<ContentParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (shown, file, size) = open_copy(&app, id).await?;
    let (kind, policy) = match shown_type(&shown.file_extension) {
        Some(kind) => (kind, security::CSP_SANDBOX),
        None if matches!(shown.file_extension.as_str(), ".html" | ".htm" | ".xhtml") => {
            // A link from elsewhere can name `scripts=1` too; a page of its own never has them.
            let alone = headers.get("sec-fetch-dest").is_some_and(|to| to == "document");
            let scripted = params.scripts.0 && !alone;
            let policy = if scripted { security::CSP_SCRIPTED } else { security::CSP_DOCUMENT };
            ("text/html; charset=utf-8", policy)
        }
        None => {
            let problem = Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "artifact-not-shown",
                "files of this type are not shown in place",
            );
            return Err(problem.hint("ask for its `preview`, or `download` it"));
        }
    };
    let mut response = range::answer(&headers, file, size, kind);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    // No policy forbids to look a name up, and a name can carry what a document knows.
    headers.insert("x-dns-prefetch-control", HeaderValue::from_static("off"));
    Ok(response)
}

/// Opens the copy of an artifact: what is known of it, its bytes, how many.
async fn open_copy(app: &App, id: ArtifactId) -> Result<(Artifact, File, u64), Problem> {
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
    match opened.await {
        Ok(Ok((file, size))) => Ok((shown, file, size)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
        Ok(Err(error)) => Err(Problem::internal(&error)),
        Err(_) => Err(Problem::closing()),
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct PreviewParams {
    /// Of a table: the first row that is wanted, from 0.
    from_row: Option<u64>,
    /// Of a table: at most so many rows, 1,000 unless asked otherwise, never over 100,000.
    limit: Option<usize>,
    /// As text, whatever it is.
    #[serde(default)]
    text: Flag,
}

/// `GET /api/artifacts/{aid}/preview`: safe data of a bounded size.
pub(crate) async fn preview(
    State(app): State<App>,
    Aid(id): Aid,
    Params(params): Params<PreviewParams>,
) -> Result<Json<ArtifactPreview>, Problem> {
    let (shown, file, size) = open_copy(&app, id).await?;
    let handle = app.engine.execution(id.execution).await?;
    // What a text of this execution may link to.
    let artifacts: Vec<(String, String, bool)> = handle.read(|state| {
        let linkable = state.artifacts.iter().filter(|artifact| artifact.sha256.is_some());
        linkable
            .map(|artifact| {
                let id = ArtifactId { execution: id.execution, index: artifact.index };
                (artifact.path.clone(), id.to_string(), preview::is_image(&artifact.path))
            })
            .collect()
    });
    let from_row = params.from_row.unwrap_or(0);
    let asked = preview::Asked { from_row, limit: params.limit, as_text: params.text.0 };
    let made = tokio::task::spawn_blocking(move || {
        let (content, truncated) = preview::content(&file, size, &shown.name, &asked, &artifacts)?;
        Ok(ArtifactPreview { id: shown.id, size, truncated, content })
    });
    match made.await {
        Ok(Ok(preview)) => Ok(Json(preview)),
        Ok(Err(error)) => {
            let error: io::Error = error;
            Err(Problem::internal(&error))
        }
        Err(_) => Err(Problem::closing()),
    }
}

/// What a client says about a file, in the query or in the form.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct UploadParams {
    /// Whose artifact it will be. Required, here or in the form.
    execution_id: Option<String>,
    /// The step it belongs to.
    step_id: Option<String>,
    /// Its file name. Required, here, in the form or as the form's file name.
    name: Option<String>,
    /// For people.
    description: Option<String>,
}

impl UploadParams {
    /// Takes a field of a form; `false`: there is no such field.
    fn set(&mut self, field: &str, text: String) -> bool {
        let target = match field {
            "execution_id" => &mut self.execution_id,
            "step_id" => &mut self.step_id,
            "name" => &mut self.name,
            "description" => &mut self.description,
            _ => return false,
        };
        *target = Some(text);
        true
    }
}

/// `POST /api/artifacts`: a form with a file (`multipart/form-data`), or the file's bytes alone and
/// the rest in the query.
pub(crate) async fn upload(
    State(app): State<App>,
    Params(mut params): Params<UploadParams>,
    request: Request,
) -> Result<(StatusCode, Json<Artifact>), Problem> {
    let Ok(_place) = app.uploads.try_acquire() else {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "uploads-busy",
            "too many files are being received",
        );
        return Err(problem.hint("try again in a moment"));
    };
    if let Some(id) = &params.execution_id {
        app.engine.execution(execution_id(id)?).await?; // Before the whole file is sent for nothing.
    }
    let (storage, bytes_max) = (app.engine.storage().clone(), app.limits.upload_bytes);
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
    // A form has some bytes around its file.
    if length.is_some_and(|length| length > bytes_max.saturating_add(FORM_BYTES_MAX)) {
        return Err(upload::too_large(bytes_max));
    }
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let received = if kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let form = Multipart::from_request(request, &())
            .await
            .map_err(|error| Problem::bad_request(error.body_text()))?;
        receive_form(&storage, bytes_max, form, &mut params).await?
    } else {
        let chunks = request.into_body().into_data_stream();
        upload::receive(&storage, bytes_max, chunks).await?
    };
    let execution = execution_id(params.execution_id.as_deref().unwrap_or_default())?;
    let step = match params.step_id.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let step = step_id(&app, text.to_owned()).await?;
            if step.execution != execution {
                return Err(Problem::bad_request("`step_id` is a step of another execution"));
            }
            Some(step.index)
        }
    };
    let upload = Upload {
        received: received.path().to_owned(),
        sha256: received.sha256.clone(),
        size: received.size,
        name: file_name(params.name.as_deref())?,
        description: description(params.description)?,
        step,
    };
    let added = app.engine.add_artifact(execution, upload).await?;
    Ok((StatusCode::CREATED, Json(Artifact::new(execution, &added))))
}

async fn receive_form(
    storage: &Storage,
    bytes_max: u64,
    mut form: Multipart,
    params: &mut UploadParams,
) -> Result<Received, Problem> {
    let broken = |error: MultipartError| Problem::bad_request(error.body_text());
    let mut received = None;
    let mut fields = 0;
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        fields += 1;
        if fields > FORM_FIELDS_MAX {
            return Err(Problem::bad_request(format!("more than {FORM_FIELDS_MAX} fields")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() || name == "file" {
            if received.is_some() {
                return Err(Problem::bad_request("one file at a time"));
            }
            if params.name.is_none() {
                params.name = field.file_name().map(str::to_owned);
            }
            received = Some(upload::receive(storage, bytes_max, field).await?);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            text.extend_from_slice(&chunk);
            if text.len() > TEXT_BYTES_MAX {
                return Err(Problem::bad_request(format!(
                    "`{name}` is longer than {TEXT_BYTES_MAX} bytes"
                )));
            }
        }
        let text = String::from_utf8(text)
            .map_err(|_| Problem::bad_request(format!("`{name}` is not UTF-8")))?;
        if !params.set(&name, text) {
            return Err(Problem::bad_request(format!("there is no field `{name}`")));
        }
    }
    received.ok_or_else(|| Problem::bad_request("the form has no file"))
}

fn execution_id(text: &str) -> Result<ExecutionId, Problem> {
    if text.is_empty() {
        return Err(Problem::bad_request("`execution_id` is missing"));
    }
    text.parse().map_err(|_| Problem::execution_unknown(text))
}

/// The last part of what a client calls its file: a name, never a path.
fn file_name(name: Option<&str>) -> Result<String, Problem> {
    let name = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.is_empty() || name == "." || name == ".." {
        return Err(Problem::bad_request("`name` is missing: how is the file called?"));
    }
    if name.len() > TEXT_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "`name` must have no control characters and at most {TEXT_BYTES_MAX} bytes"
        )));
    }
    Ok(name.to_owned())
}

fn description(text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "`description` is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// `DELETE /api/artifacts/{aid}`.
pub(crate) async fn remove(
    State(app): State<App>,
    Aid(id): Aid,
) -> Result<Json<DeleteAnswer>, Problem> {
    app.engine.remove_artifact(id).await?;
    let message = "Artifact deleted".to_owned();
    Ok(Json(DeleteAnswer { id: id.to_string(), deleted: true, message }))
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
        ".webp" => "image/webp",
        ".avif" => "image/avif",
        // In an `<img>` no script of it runs; as a document it is sandboxed, and an attachment.
        ".svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Types that a page shows within itself, none of which is a document with a script.
fn shown_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        ".png" => "image/png",
        ".jpg" | ".jpeg" => "image/jpeg",
        ".gif" => "image/gif",
        ".webp" => "image/webp",
        ".avif" => "image/avif",
        // In an `<img>` no script of it runs; as a document it is sandboxed.
        ".svg" => "image/svg+xml",
        extension => preview::media_type(extension.strip_prefix('.')?)?,
    })
}

/// `attachment` with the name twice: plain for old clients, encoded for the others (RFC 6266).
pub(crate) fn disposition(name: &str) -> String {
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
