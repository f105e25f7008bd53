//! `stepflow artifacts`: list and get the files that a script announced.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;
use sha2::{Digest, Sha256};
use stepflow_api::{Artifact, human_size};

use crate::{
    args::ArtifactsCommand,
    failure::Failure,
    format::{clean, cut},
    out::{Out, print},
    source::Source,
    text::{say, why},
};

/// Carries out `artifacts ls` or `artifacts get`.
pub fn artifacts(
    source: &mut dyn Source,
    command: &ArtifactsCommand,
    pager: bool,
) -> Result<ExitCode, Failure> {
    match command {
        ArtifactsCommand::Ls { id, json } => ls(source, id, json.json, pager),
        ArtifactsCommand::Get { id, names, output, force, json } => {
            let wanted = Wanted { names, output, force: *force, json: json.json };
            get(source, id, &wanted)
        }
    }
}

fn ls(source: &mut dyn Source, id: &str, as_json: bool, pager: bool) -> Result<ExitCode, Failure> {
    let id = source.find(id)?;
    let artifacts = source.detail(id)?.artifacts;
    let mut out = Out::paged(pager && !as_json);
    print(&mut out, |out| {
        if as_json {
            let count = artifacts.len();
            return Ok(writeln!(out, "{}", json!({"artifacts": artifacts, "count": count}))?);
        }
        let terminal = io::stdout().is_terminal();
        let width = terminal_size::terminal_size().filter(|_| terminal);
        for artifact in &artifacts {
            let path = clean(artifact.file_path.as_bytes(), false);
            let size = match (&artifact.problem, artifact.exists) {
                (_, true) => human_size(artifact.file_size),
                (Some(_), false) => "-".to_owned(),
                (None, false) => say::copying(),
            };
            let mut line = format!("{size:>10}  {path}");
            if let Some(problem) = &artifact.problem {
                let colon = crate::text::text().colon;
                let problem = crate::text::recorded(problem);
                line.push_str(&format!("{colon}{}", clean(problem.as_bytes(), false)));
            }
            match width {
                Some(size) => writeln!(out, "{}", cut(&line, usize::from(size.0.0)))?,
                None => writeln!(out, "{line}")?,
            }
        }
        if artifacts.is_empty() {
            writeln!(out, "{}", say::no_artifacts())?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

struct Wanted<'a> {
    names: &'a [String],
    output: &'a Path,
    force: bool,
    json: bool,
}

fn get(source: &mut dyn Source, id: &str, wanted: &Wanted<'_>) -> Result<ExitCode, Failure> {
    let id = source.find(id)?;
    let all = source.detail(id)?.artifacts;
    let found = chosen(&all, wanted.names)?;
    if wanted.output == Path::new("-") {
        let [one] = found.as_slice() else {
            return Err(Failure::new(why::many_artifacts(found.len())).hint(why::name_one()));
        };
        let mut out = Out::plain();
        let copied = source.artifact(&one.id, &mut out).and_then(|_| Ok(out.flush()?));
        return out.ended(copied).map(|()| ExitCode::SUCCESS);
    }
    let ends_in_slash = wanted.output.to_string_lossy().ends_with('/');
    let into_directory = ends_in_slash || wanted.output.is_dir() || found.len() > 1;
    if into_directory {
        fs::create_dir_all(wanted.output).map_err(|error| {
            Failure::new(why::cannot_make(wanted.output.display(), error))
                .hint(why::another_place())
        })?;
    }
    let mut written = Vec::new();
    for artifact in found {
        let path = if into_directory {
            wanted.output.join(file_name(artifact)?)
        } else {
            wanted.output.to_owned()
        };
        fetch(source, artifact, &path, wanted.force)?;
        if wanted.json {
            written.push(json!({
                "id": artifact.id, "file": path.display().to_string(),
                "bytes": artifact.file_size, "sha256": artifact.sha256,
            }));
        } else {
            let size = human_size(artifact.file_size);
            writeln!(
                io::stdout(),
                "{}  {size}",
                clean(path.display().to_string().as_bytes(), false)
            )?;
        }
    }
    if wanted.json {
        writeln!(io::stdout(), "{}", json!({"artifacts": written}))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those with a copy, or those that are named.
fn chosen<'a>(all: &'a [Artifact], names: &[String]) -> Result<Vec<&'a Artifact>, Failure> {
    if names.is_empty() {
        let found: Vec<_> = all.iter().filter(|one| one.exists).collect();
        if found.is_empty() {
            return Err(Failure::new(why::no_artifact_to_get()).hint(why::artifacts_ls_says()));
        }
        return Ok(found);
    }
    let mut found = Vec::new();
    for name in names {
        // Of several of one name the last one counts: the script announced it anew.
        let fits = |one: &&Artifact| [&one.id, &one.file_path, &one.name].contains(&name);
        let one =
            all.iter().rev().find(fits).ok_or_else(|| {
                Failure::new(why::no_artifact(name)).hint(why::artifacts_ls_lists())
            })?;
        if let Some(problem) = &one.problem {
            return Err(Failure::new(why::no_copy(name, crate::text::recorded(problem)))
                .hint(why::copied_when_announced()));
        }
        found.push(one);
    }
    Ok(found)
}

/// The last part of its path: a name that a script chose, and so never a way to another directory.
fn file_name(artifact: &Artifact) -> Result<String, Failure> {
    let name = artifact.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    if name.is_empty() || name == "." || name == ".." {
        return Err(Failure::new(why::no_file_name(name)).hint(why::name_with_o()));
    }
    Ok(name)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(why::cannot_write(path.display(), error)).hint(why::another_place())
}

/// Writes beside the file, compares the digest, and only then gives it its name.
fn fetch(
    source: &mut dyn Source,
    artifact: &Artifact,
    path: &Path,
    force: bool,
) -> Result<(), Failure> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Failure::new(why::is_there(path.display())).hint(why::force_or_elsewhere()));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let file = OpenOptions::new().write(true).create_new(true).open(&part);
    let file = file.map_err(|error| cannot_write(&part, &error))?;
    let mut hashed = Hashed { file, hash: Sha256::new() };
    let fetched = source.artifact(&artifact.id, &mut hashed).and_then(|_| {
        let digest = hashed.hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        });
        if artifact.sha256.as_ref().is_some_and(|known| *known != digest) {
            return Err(
                Failure::new(why::arrived_changed(&artifact.name)).hint(why::wrong_digest())
            );
        }
        fs::rename(&part, path).map_err(|error| cannot_write(path, &error))
    });
    if fetched.is_err() {
        let _ = fs::remove_file(&part);
    }
    fetched
}

struct Hashed {
    file: File,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
