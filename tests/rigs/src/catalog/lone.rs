//! The power is cut after what lives only in the catalog was acknowledged.

use serde_json::{Value, json};
use stepflow_testkit::{Rng, Scratch, eventually};

use super::{
    Stage,
    answers::{Answers, Depth},
    failed, must,
};
use crate::{
    Options,
    power::Disk,
    served::{Served, ask},
};

/// What is done to a server before the power goes.
const KINDS: [&str; 5] = [
    "a token made",
    "a token revoked",
    "a search saved",
    "a search forgotten",
    "an execution deleted",
];

/// G8: what was acknowledged is there after the cut.
pub(super) fn cuts(_: &Stage, options: &Options) -> Result<String, String> {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return Ok(format!("power cuts NOT RUN: {why}")),
    };
    let mut random = Rng::new(options.seed ^ 0x70);
    let rounds = options.scrambles.div_ceil(5);
    for number in 0..rounds {
        let kind = (number % KINDS.len() as u64) as usize;
        one(options, &disk, kind, &mut random)
            .map_err(|found| format!("cut {number}, after {}: {found}", KINDS[kind]))?;
    }
    Ok(format!("{rounds} power cuts right after what lives only there was acknowledged: all kept"))
}

fn one(options: &Options, disk: &Disk, kind: usize, random: &mut Rng) -> Result<(), String> {
    let root = disk.root();
    let scratch = Scratch::new(&options.program).at(&root);
    let mut server = Served::start(&scratch, &[])?;
    let token = |name: String| -> Result<String, String> {
        let body = json!({"name": name, "scope": "viewer"});
        let (_, made) = must(&server, "POST", "/api/tokens", Some(&body))?;
        let made: Value = serde_json::from_slice(&made).map_err(failed)?;
        made["id"].as_str().map(str::to_owned).ok_or(format!("no id: {made}"))
    };
    let search = json!({"query": "status:failed"});
    for number in 0..random.below(4) {
        token(format!("before {number}"))?;
        must(&server, "PUT", &format!("/api/searches/s{number}"), Some(&search))?;
    }
    let run = scratch.output(&["run", "--output", "quiet", "--", "true"]);
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned());
    }
    let id = scratch.newest();
    let mut gone = false;
    match kind {
        0 => drop(token("last".to_owned())?),
        1 => {
            let id = token("revoked".to_owned())?;
            must(&server, "DELETE", &format!("/api/tokens/{id}"), None)?;
        }
        2 => drop(must(&server, "PUT", "/api/searches/last", Some(&search))?),
        3 => {
            must(&server, "PUT", "/api/searches/last", Some(&search))?;
            must(&server, "DELETE", "/api/searches/last", None)?;
        }
        _ => {
            // The server hears of an end a moment after the record has it.
            let path = format!("/api/executions/{id}");
            eventually("it is deleted", || must(&server, "DELETE", &path, None).ok());
            gone = true;
        }
    }
    let before = Answers::of(&server.address, &[], Depth::Catalog)?.lone;
    disk.cut()?;
    server.kill();
    disk.again()?;
    let result = (|| {
        let server = Served::start(&scratch, &[])?;
        let after = Answers::of(&server.address, &[], Depth::Catalog)?.lone;
        if after != before {
            return Err(format!("{after:?}, before {before:?}"));
        }
        let (status, _) =
            ask(&server.address, "GET", &format!("/api/executions/{id}"), None, None)?;
        if gone && status != 404 {
            return Err(format!("what was deleted is answered {status}"));
        }
        Ok(())
    })();
    drop(scratch);
    std::fs::remove_dir_all(&root).map_err(failed)?;
    result
}
