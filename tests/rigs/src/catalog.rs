//! The catalog is scrambled and made anew from the records; bits of it flip; the power goes after what
//! lives only in it was acknowledged.

mod answers; // everything that the API says
mod lone; // power cuts after what lives only in the catalog
mod ways; // of scrambling

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepflow_model::ExecutionId;
use stepflow_testkit::{PATIENCE, Rng, Scratch, eventually};

use crate::{
    Options, Outcome,
    served::{Served, accepted, ask},
};
use answers::{Answers, Depth};

/// Storages that are worked at in parallel.
const AT_ONCE: usize = 3;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let stage = Stage::new(&options.program)?;
    let mut held =
        vec![format!("{} executions, {} answers of the API", stage.ids.len(), stage.before.len())];
    type Part = fn(&Stage, &Options) -> Result<String, String>;
    let parts: [Part; 4] = [scrambled, flipped_at_rest, flipped_in_use, lone::cuts];
    let only = options.part as usize;
    for (_, part) in parts.iter().enumerate().filter(|(at, _)| only == 0 || at + 1 == only) {
        let begun = Instant::now();
        held.push(format!("{} ({:.0} s)", part(&stage, options)?, begun.elapsed().as_secs_f64()));
    }
    Ok(Outcome::Held(held.join("; ")))
}

/// A storage whose records never change again, and catalogs of it.
struct Stage {
    scratch: Scratch,
    ids: Vec<ExecutionId>,
    /// The catalog as its server closed it.
    closed: PathBuf,
    /// As a killed server left it: much of it is only in the WAL.
    killed: PathBuf,
    /// As it was when half of the executions had ended.
    older: PathBuf,
    /// That of another storage.
    other: PathBuf,
    /// All that is said of the storage.
    before: Arc<Answers>,
    dir: Arc<tempfile::TempDir>,
}

fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), String> {
    let _ = fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("cannot copy {}", from.display())) }
}

/// Asks for something that must be done.
fn must(
    server: &Served,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Vec<u8>), String> {
    let answer = ask(&server.address, method, path, None, body)?;
    if answer.0 < 300 {
        return Ok(answer);
    }
    Err(format!("{method} {path}: {} {}", answer.0, String::from_utf8_lossy(&answer.1)))
}

/// Ends it as a service manager does: it closes its catalog.
fn stop(mut server: Served) {
    stepflow_testkit::signal(server.pid(), nix::sys::signal::Signal::SIGTERM);
    eventually("the server ends", || server.is_gone().then_some(()));
}

impl Stage {
    fn new(program: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(failed)?;
        let place = |name: &str| dir.path().join(name);
        let scratch = Scratch::new(program);
        let database = scratch.storage.root().join("database");
        let server = Served::start(&scratch, &[])?;
        some(&server, &scratch, 0)?;
        stop(server);
        copy_dir(&database, &place("older"))?;
        let server = Served::start(&scratch, &[])?;
        some(&server, &scratch, 1)?;
        stop(server);
        copy_dir(&database, &place("closed"))?;
        let mut server = Served::start(&scratch, &[])?;
        // Something that only the WAL has.
        must(&server, "PUT", "/api/searches/last", Some(&json!({"query": "status:completed"})))?;
        server.kill();
        copy_dir(&database, &place("killed"))?;
        copy_dir(&place("closed"), &database)?;
        let another = Scratch::new(program);
        let server = Served::start(&another, &[])?;
        some(&server, &another, 2)?;
        stop(server);
        copy_dir(&another.storage.root().join("database"), &place("other"))?;
        let ids = scratch.storage.executions().map_err(failed)?;
        let server = Served::start(&scratch, &[])?;
        let before = Answers::of(&server.address, &ids, Depth::All)?;
        let again = Answers::of(&server.address, &ids, Depth::All)?;
        stop(server);
        if let Some(difference) = before.difference(&again) {
            return Err(format!("nothing happened, and {difference}"));
        }
        let [closed, killed, older, other] = ["closed", "killed", "older", "other"].map(place);
        let before = Arc::new(before);
        Ok(Self { scratch, ids, closed, killed, older, other, before, dir: Arc::new(dir) })
    }

    /// The same storage elsewhere: work goes on at several at once.
    fn twin(&self, number: usize) -> Result<Self, String> {
        let root = self.dir.path().join(format!("twin-{number}"));
        copy_dir(self.scratch.storage.root(), &root)?;
        let [closed, killed, older, other] =
            [&self.closed, &self.killed, &self.older, &self.other].map(ToOwned::to_owned);
        let (before, dir) = (Arc::clone(&self.before), Arc::clone(&self.dir));
        let (scratch, ids) = (self.scratch.at(&root), self.ids.clone());
        Ok(Self { scratch, ids, closed, killed, older, other, before, dir })
    }

    /// Does a number of things, each by itself, and adds up what they came to.
    fn each<const N: usize>(
        &self,
        count: u64,
        one: fn(&Self, &mut Rng, u64) -> Result<[u64; N], String>,
        seed: u64,
    ) -> Result<[u64; N], String> {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|worker| {
                let stage = self.twin(worker)?;
                Ok(thread::spawn(move || {
                    let mut sum = [0; N];
                    for number in (worker as u64..count).step_by(AT_ONCE) {
                        let mut random = Rng::new(seed ^ (number << 20));
                        let came_to = one(&stage, &mut random, number)?;
                        sum.iter_mut().zip(came_to).for_each(|(sum, more)| *sum += more);
                    }
                    Ok(sum)
                }))
            })
            .collect::<Result<_, String>>()?;
        let mut sum = [0; N];
        for worker in workers {
            let part: Result<[u64; N], String> =
                worker.join().map_err(|_| "a worker panicked".to_owned())?;
            sum.iter_mut().zip(part?).for_each(|(sum, more)| *sum += more);
        }
        Ok(sum)
    }

    fn database(&self) -> PathBuf {
        self.scratch.storage.database()
    }

    /// Puts one of the catalogs in place, and nothing else beside it.
    fn put(&self, catalog: &Path) -> Result<(), String> {
        copy_dir(catalog, &self.scratch.storage.root().join("database"))
    }

    /// Catalogs that were set aside.
    fn aside(&self) -> Vec<PathBuf> {
        let dir = self.scratch.storage.root().join("database");
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| {
                name(path).is_some_and(|name| name.contains(".damaged-") && !name.ends_with("-wal"))
            })
            .collect()
    }
}

/// Executions of every kind, and what is done to them afterwards.
fn some(server: &Served, scratch: &Scratch, round: u64) -> Result<(), String> {
    let scripts = [
        "echo STEP_START:Build; echo one; echo STEP_START:Inner; echo two; echo STEP_COMPLETE:Inner; \
         echo STEP_COMPLETE:Build; echo data > a.txt; echo 'ARTIFACT:a.txt:a file'; echo META:commit:abc",
        "echo STEP_START:Test; echo 'error: no' >&2; echo STEP_ERROR:it broke; exit 3",
        "kill -9 $$",
        "seq 300; echo STEP_START:Left open; echo half without an end",
        "printf '\\033[31mred\\033[0m \\377\\n'; echo PROGRESS:50:half",
        "echo to both; echo and here >&2; exit 1",
    ];
    let mut ids = Vec::new();
    for (at, script) in scripts.iter().enumerate() {
        let body = json!({
            "command": ["sh", "-c", script],
            "name": format!("job {}", at % 4),
            "tags": [format!("round-{round}"), "täglich", format!("t{at}")],
            "working_directory": scratch.work(),
            "environment": {"MODE": "fast"},
            "split_stderr": at % 2 == 1,
            "wait": true,
        });
        ids.push(accepted(&must(server, "POST", "/api/executions", Some(&body))?)?);
    }
    let body = json!({"command": ["sleep", "600"], "name": "stopped"});
    let stopped = accepted(&must(server, "POST", "/api/executions", Some(&body))?)?;
    scratch.pids(stopped);
    must(server, "POST", &format!("/api/executions/{stopped}/cancel"), None)?;
    scratch.ended(stopped);
    let again = must(server, "POST", &format!("/api/executions/{}/rerun", ids[0]), None)?;
    scratch.ended(accepted(&again)?);
    let path = |at: usize| format!("/api/executions/{}", ids[at]);
    let label = json!({"name": "renamed by hand", "pinned": true, "tags": ["kept", "x y"]});
    must(server, "PATCH", &path(0), Some(&label))?;
    must(server, "PATCH", &path(1), Some(&json!({"pinned": true})))?;
    must(server, "DELETE", &path(2), None)?;
    let upload = format!("/api/artifacts?execution_id={}&name=late.txt", ids[3]);
    must(server, "POST", &upload, Some(&json!("what came later")))?;
    // The server hears of an end a moment after the record has it.
    let file = format!("/api/artifacts/{}-a0", accepted(&again)?);
    eventually("its file is removed", || must(server, "DELETE", &file, None).ok());
    must(server, "POST", "/api/ingest?name=from%20elsewhere", Some(&json!("one line\n")))?;
    for name in ["one", "two"] {
        let body = json!({"name": format!("{name} {round}"), "scope": "operator"});
        let (_, made) = must(server, "POST", "/api/tokens", Some(&body))?;
        let made: Value = serde_json::from_slice(&made).map_err(failed)?;
        if name == "two" {
            let id = made["id"].as_str().ok_or(format!("no id: {made}"))?;
            must(server, "DELETE", &format!("/api/tokens/{id}"), None)?;
        }
        let query = json!({"query": format!("name:{name}")});
        must(server, "PUT", &format!("/api/searches/{name}{round}"), Some(&query))?;
    }
    eventually("everything is in the catalog", || {
        let (_, body) = ask(&server.address, "GET", "/api/executions/active", None, None).ok()?;
        let open = scratch.storage.open_executions().ok()?;
        (open.is_empty() && !String::from_utf8_lossy(&body).contains("\"status\"")).then_some(())
    });
    Ok(())
}

/// G8: scrambled, made anew by `reindex`, everything compared.
fn scrambled(stage: &Stage, options: &Options) -> Result<String, String> {
    let [aside, kept] = stage.each(options.scrambles, scramble, options.seed ^ 0x68)?;
    Ok(format!(
        "scrambled in {} ways and made anew by `reindex`: every answer as before; {aside} set aside, \
         tokens and saved searches kept in {kept}",
        options.scrambles
    ))
}

fn scramble(stage: &Stage, random: &mut Rng, number: u64) -> Result<[u64; 2], String> {
    let way = &ways::ALL[number as usize % ways::ALL.len()];
    let place = |found: String| format!("scramble {number}, {}: {found}", way.what);
    stage.put(&stage.closed).map_err(place)?;
    (way.scramble)(stage, random).map_err(place)?;
    let output = stage.scratch.output(&["reindex", "--json"]);
    if !output.status.success() {
        return Err(place(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let said: Value = serde_json::from_slice(&output.stdout).map_err(failed).map_err(place)?;
    let aside = !stage.aside().is_empty();
    if said["set_aside"].is_null() == aside {
        return Err(place(format!("said {said}, and set aside are {:?}", stage.aside())));
    }
    let server = Served::start(&stage.scratch, &[]).map_err(place)?;
    let after = Answers::of(&server.address, &stage.ids, Depth::All).map_err(place)?;
    drop(server);
    if let Some(difference) = stage.before.difference(&after) {
        return Err(place(difference));
    }
    let same = after.lone == stage.before.lone;
    let is_right = match way.lone {
        ways::Lone::Kept => same,
        ways::Lone::KeptOrLost => same || after.has_no_lone(),
        ways::Lone::Others => true,
    };
    if !is_right || same && said["tokens_kept"] == json!(false) {
        return Err(place(format!("tokens and searches: {:?}, said {said}", after.lone)));
    }
    Ok([u64::from(aside), u64::from(same)])
}

/// One bit of a file.
#[derive(Debug, Clone, Copy)]
struct Flip {
    at: u64,
    bit: u8,
}

impl Flip {
    /// Three of four where something is: most of a small catalog is empty.
    fn anywhere(path: &Path, random: &mut Rng) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(failed)?;
        let used = random.below(4) > 0;
        loop {
            let at = random.below(bytes.len() as u64);
            if !used || bytes[at as usize] != 0 {
                return Ok(Self { at, bit: 1 << random.below(8) });
            }
        }
    }

    /// Done twice, nothing has happened.
    fn flip(self, path: &Path) -> Result<(), String> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.at).map_err(failed)?;
        file.write_all_at(&[byte[0] ^ self.bit], self.at).map_err(failed)
    }
}

/// F12, at open: one bit of a catalog that nobody has open.
fn flipped_at_rest(stage: &Stage, options: &Options) -> Result<String, String> {
    let [healed, harmless, refused] =
        stage.each(options.scrambles * 3, flip_at_rest, options.seed ^ 0x12)?;
    if healed * 10 < harmless {
        return Err(format!("not a sweep: {healed} did any harm, {harmless} did not"));
    }
    Ok(format!(
        "{} bits flipped at rest: {healed} found at the start and healed, {harmless} harmless, {refused} \
         refused as another's; every answer as before",
        healed + harmless + refused
    ))
}

/// Whether it was healed, harmless, refused.
fn flip_at_rest(stage: &Stage, random: &mut Rng, number: u64) -> Result<[u64; 3], String> {
    let from_wal = number % 8 == 7;
    stage.put(if from_wal { &stage.killed } else { &stage.closed })?;
    let database = stage.database();
    let file = if from_wal { database.with_extension("db-wal") } else { database.clone() };
    let flip = Flip::anywhere(&file, random)?;
    flip.flip(&file)?;
    let damaged = fs::read(&database).map_err(failed)?;
    let place = |found: String| format!("{number}, {flip:?} of {}: {found}", file.display());
    let server = match Served::start(&stage.scratch, &[]) {
        Ok(server) => server,
        Err(_) if !from_wal && (60..72).contains(&flip.at) => {
            // It says that it is a newer release's, or another program's: nothing is touched.
            if fs::read(&database).map_err(failed)? != damaged {
                return Err(place("a catalog that is not ours was touched".to_owned()));
            }
            return Ok([0, 0, 1]);
        }
        Err(why) => return Err(place(why)),
    };
    let set_aside = settled(&server).map_err(place)?;
    let after = Answers::of(&server.address, &stage.ids, Depth::Catalog).map_err(place)?;
    drop(server);
    if let Some(difference) = stage.before.difference(&after) {
        return Err(place(difference));
    }
    let aside = stage.aside();
    if set_aside == aside.is_empty() {
        return Err(place(format!("set aside: {aside:?}")));
    }
    if let [aside] = &*aside {
        if !from_wal && fs::read(aside).map_err(failed)? != damaged {
            return Err(place("what was set aside is not what was found".to_owned()));
        }
        return Ok([1, 0, 0]);
    }
    // What the WAL had is gone with it: a search that was saved last.
    if !from_wal && after.lone != stage.before.lone {
        return Err(place(format!("tokens and searches: {:?}", after.lone)));
    }
    Ok([0, 1, 0])
}

/// Waits until a server that replaced its catalog has filled it; whether it did.
fn settled(server: &Served) -> Result<bool, String> {
    let begun = Instant::now();
    loop {
        let (_, body) = ask(&server.address, "GET", "/api/health/status", None, None)?;
        let status: Value = serde_json::from_slice(&body).map_err(failed)?;
        match status["components"]["database"]["what"].as_str() {
            Some("catalog-rebuilt") => return Ok(true),
            Some("catalog-rebuilding" | "catalog-broken") => {}
            _ => return Ok(false),
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("not filled again: {status}"));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// F12, in use: one bit under a server that answers. What is read of a row is held against its checksum;
/// what an index alone answers is not: that is found at the next start.
fn flipped_in_use(stage: &Stage, options: &Options) -> Result<String, String> {
    let mut random = Rng::new(options.seed ^ 0x1212);
    let (mut healed, mut harmless, mut errors, mut later) = (0, 0, 0, 0);
    stage.put(&stage.closed)?;
    let mut server = Served::start(&stage.scratch, &[])?;
    for number in 0..options.scrambles {
        let database = stage.database();
        let aside = stage.aside().len();
        let flip = Flip::anywhere(&database, &mut random)?;
        flip.flip(&database)?;
        let place = |found: String| format!("{number} in use, {flip:?}: {found}");
        let asked = Answers::as_far_as(&server.address, &stage.ids, Depth::Catalog);
        let (answers, broken) = asked.map_err(place)?;
        let wrong = stage.before.difference(&answers);
        errors += broken;
        if let Some(difference) = &wrong
            && !answers.rows_are_those_of(&stage.before)
        {
            return Err(place(difference.clone()));
        }
        match (broken, &wrong) {
            (0, None) => {
                harmless += 1;
                flip.flip(&database)?;
                continue;
            }
            (0, Some(_)) => {
                later += 1;
                drop(server);
                server = Served::start(&stage.scratch, &[]).map_err(place)?;
            }
            _ => healed += 1,
        }
        let begun = Instant::now();
        while stage.aside().len() == aside || !settled(&server).map_err(place)? {
            if begun.elapsed() > PATIENCE {
                let wrong = wrong.unwrap_or_default();
                return Err(place(format!("{broken} errors, nothing heals it: {wrong}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let answers = Answers::of(&server.address, &stage.ids, Depth::Catalog).map_err(place)?;
        if let Some(difference) = stage.before.difference(&answers) {
            return Err(place(format!("healed, and {difference}")));
        }
    }
    drop(server);
    Ok(format!(
        "{} bits flipped under a server: {healed} healed after {errors} answers that were errors, \
         {later} of an index alone found by the next start, {harmless} harmless; no row was shown that is \
         not what was written",
        options.scrambles
    ))
}
