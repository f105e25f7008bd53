//! A log that is compressed after its end is the same log to everybody who reads it: by the server's
//! own doing, and by the command.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;
use stepflow_model::ExecutionId;
use stepflow_testkit::{Ended, PATIENCE, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
/// Both streams, bytes that are no text, a long line, steps, a half line at the end; several frames.
const SCRIPT: &str = r"echo STEP_START:One; seq 1 40000
printf 'caf\303\251 \377\000 broken\n' >&2; echo 'error: found at last' >&2
head -c 200000 /dev/zero | tr '\0' x; echo
echo STEP_START:Two; seq 40001 90000; echo 'error: once more' >&2; printf 'half a line'";

struct Server {
    process: Ended,
}

impl Server {
    fn start(scratch: &Scratch, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--auth", "off", "--listen", "127.0.0.1:0"];
        args.extend(more);
        let mut command = scratch.command(&args);
        command.stderr(Stdio::piped()).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
        let mut process = Ended(command.spawn().unwrap());
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let mut listens = lines.by_ref().map_while(Result::ok);
        assert!(listens.any(|line| line.starts_with("listening on ")), "it listens");
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process }
    }

    /// Whether it has the thread that compresses.
    fn compresses(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.0.id())).unwrap();
        let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm"));
        threads
            .map(Result::unwrap)
            .filter_map(|thread| name(thread).ok())
            .any(|n| n == "compress\n")
    }
}

/// Head and body of one answer.
fn get(scratch: &Scratch, path: &str, header: &str) -> (String, Vec<u8>) {
    let socket = UnixStream::connect(scratch.storage.run_dir().join("server.sock")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
    (&socket).write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    (&socket).read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    (head, if chunked { joined(&body) } else { body })
}

/// A body that came in chunks.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
}

fn json(scratch: &Scratch, path: &str) -> Value {
    let (head, body) = get(scratch, path, "");
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: {head}"))
}

/// Everything that can be asked of a log through a server, but for what tells the forms apart.
fn answers(scratch: &Scratch, id: ExecutionId) -> Vec<(String, Vec<u8>)> {
    let of = |rest: &str| format!("/api/executions/{id}/{rest}");
    let mut asked: Vec<(String, &str)> = vec![
        (of("log/raw"), ""),
        (of("log/raw"), "Range: bytes=0-0\r\n"),
        (of("log/raw"), "Range: bytes=262100-262200\r\n"),
        (of("log/raw"), "Range: bytes=300000-\r\n"),
        (of("log/raw"), "Range: bytes=-11\r\n"),
        (of("log?from_line=1&limit=50"), ""),
        (of("log?from_line=39990&limit=100"), ""),
        (of("log?tail=5"), ""),
        (of("log/search?q=found"), ""),
        (of("log/search?q=8990.%24&regex=1"), ""),
        (of("log/download?format=text"), ""),
        (of("log/download?format=jsonl&from_line=39000&to_line=41000"), ""),
        (of("log/download?step=1&format=raw"), ""),
    ];
    asked.push((of("events?cursor=0.0"), ""));
    asked.push((of("events?cursor=262144.3"), ""));
    let answer = |(path, header): (String, &str)| {
        let (head, body) = get(scratch, &path, header);
        let status = head.lines().next().unwrap_or_default();
        let range = head.lines().find(|line| line.to_lowercase().starts_with("content-range"));
        let what = format!("{path} {header}: {status} {}", range.unwrap_or_default());
        (what, body)
    };
    asked.into_iter().map(answer).collect()
}

fn same(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)]) {
    for ((what, body), (what_now, body_now)) in before.iter().zip(after) {
        assert_eq!(what, what_now);
        let at = body.iter().zip(body_now).position(|(a, b)| a != b);
        assert!(body == body_now, "{what}: {} and {} bytes, {at:?}", body.len(), body_now.len());
    }
    let found = before.iter().filter(|(what, _)| what.contains(" 200") || what.contains(" 206"));
    assert_eq!(
        found.count(),
        before.len(),
        "{:?}",
        before.iter().map(|a| &a.0).collect::<Vec<_>>()
    );
}

/// What the command shows.
fn shown(scratch: &Scratch, id: &str) -> Vec<Vec<u8>> {
    let asked: [&[&str]; 5] = [
        &["logs", id],
        &["logs", "--raw", id],
        &["logs", "--tail", "3", id],
        &["logs", "--grep", "error", id],
        &["logs", "--json", "--step", "Two", id],
    ];
    let say = |args: &&[&str]| {
        let output = scratch.output(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    asked.iter().map(say).collect()
}

fn zstdcat(path: &std::path::Path) -> Option<Vec<u8>> {
    let output = Command::new("zstdcat").arg(path).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn whole(scratch: &Scratch, id: ExecutionId, output: &[u8]) {
    assert!(scratch.output_of(id) == output, "the bytes are the same");
    let dir = scratch.storage.record_dir(id);
    assert!(!dir.join("output.log").exists() && !dir.join("output.idx").exists());
    // Anybody's zstd reads it; a machine without one reads it with ours alone.
    if let Some(bytes) = zstdcat(&dir.join("output.log.zst")) {
        assert!(bytes == output, "zstdcat prints {} bytes", bytes.len());
    }
    let proof = scratch.storage.verify(id).unwrap();
    assert!(proof.flaws.is_empty() && proof.sealed && proof.compressed, "{proof:?}");
}

#[test]
fn a_server_compresses_what_has_ended_and_nobody_who_reads_can_tell() {
    let scratch = Scratch::new(STEPFLOW);
    let run = ["run", "--output", "quiet", "--split-stderr", "--", "bash", "-c", SCRIPT];
    assert!(scratch.output(&run).status.success());
    let id = scratch.newest();
    let output = scratch.output_of(id);
    let (before, said) = {
        let server = Server::start(&scratch, &["--compress-after", "off"]);
        let detail = json(&scratch, &format!("/api/executions/{id}/log/meta"));
        assert_eq!(detail["compressed"], false);
        assert!(detail["stored_bytes"].as_u64() >= Some(output.len() as u64), "{detail}");
        let told = (answers(&scratch, id), shown(&scratch, &id.to_string()));
        assert!(!server.compresses(), "off is off");
        told
    };
    assert!(scratch.storage.record_dir(id).join("output.log").exists(), "off is off");

    let server = Server::start(&scratch, &["--compress-after", "1s"]);
    eventually("it has the thread", || server.compresses().then_some(()));
    let meta = eventually("it is compressed", || {
        let meta = json(&scratch, &format!("/api/executions/{id}/log/meta"));
        (meta["compressed"] == true).then_some(meta)
    });
    let stored = meta["stored_bytes"].as_u64().unwrap();
    assert!(0 < stored && stored < output.len() as u64 / 2, "{stored} of {}", output.len());
    whole(&scratch, id, &output);
    same(&before, &answers(&scratch, id));
    assert!(shown(&scratch, &id.to_string()) == said, "the command shows the same");

    // One that runs is left alone; a follower that reads on meanwhile misses nothing.
    let script = format!("{SCRIPT}; while [ ! -e stop ]; do sleep 0.01; done; echo; echo end");
    let running = scratch.detach(&[], &["bash", "-c", &script]);
    let text = running.to_string();
    let follow = scratch
        .command(&["logs", "--raw", "--follow", &text])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it prints", || (scratch.output_of(running).len() > 500_000).then_some(()));
    // Another that ended meanwhile has been compressed: a round has passed over this one.
    assert!(scratch.output(&["run", "--output", "quiet", "--", "echo", "short"]).status.success());
    let short = scratch.newest();
    eventually("one that ended meanwhile is compressed", || {
        scratch.storage.stored_log(short).1.then_some(())
    });
    assert!(scratch.storage.record_dir(running).join("output.log").exists(), "it runs");
    fs::write(scratch.work().join("stop"), "").unwrap();
    scratch.ended(running);
    let output = scratch.output_of(running);
    let is_compressed = || scratch.storage.stored_log(running).1.then_some(());
    eventually("the other is compressed as well", is_compressed);
    whole(&scratch, running, &output);
    let followed = follow.wait_with_output().unwrap();
    assert!(followed.stdout == output, "{} of {} bytes", followed.stdout.len(), output.len());
}

#[test]
fn the_command_compresses_and_says_what_a_log_takes_up() {
    let scratch = Scratch::new(STEPFLOW);
    let run = ["run", "--output", "quiet", "--split-stderr", "--", "bash", "-c", SCRIPT];
    assert!(scratch.output(&run).status.success());
    let id = scratch.newest();
    let (output, said) = (scratch.output_of(id), shown(&scratch, &id.to_string()));
    let show = || {
        let text = scratch.text(&["show", &id.to_string()]);
        text.lines().find(|line| line.starts_with("output ")).unwrap().to_owned()
    };
    let before = show();
    assert!(before.contains(" on disk") && !before.contains("compressed"), "{before}");

    // A reader that is open goes on while the one form takes the other's place.
    let log = stepflow_record::LogReader::open(&scratch.storage.record_dir(id)).unwrap().unwrap();
    let mut half = vec![0; output.len() / 2];
    log.read_at(&mut half, 0).unwrap();
    assert!(scratch.output(&["compress", &id.to_string()]).status.success());
    let mut rest = vec![0; output.len() - half.len()];
    log.read_at(&mut rest, half.len() as u64).unwrap();
    assert!([half, rest].concat() == output);

    whole(&scratch, id, &output);
    assert!(shown(&scratch, &id.to_string()) == said, "the command shows the same");
    let after = show();
    assert!(after.contains(" on disk (compressed)"), "{after}");
    let object: Value =
        serde_json::from_str(&scratch.text(&["show", "--json", &id.to_string()])).unwrap();
    assert_eq!(object["compressed"], true);
    assert_eq!(object["stored_bytes"], scratch.storage.stored_log(id).0);
    let verified: Value = serde_json::from_str(&scratch.text(&["verify", "--json"])).unwrap();
    assert_eq!(verified["stored_bytes"], object["stored_bytes"]);
    // Again, it has nothing to do; and a server finds it as it is.
    assert!(scratch.output(&["compress"]).status.success());
    let _server = Server::start(&scratch, &[]);
    let detail = json(&scratch, &format!("/api/executions/{id}?logs=0"));
    assert_eq!(
        (&detail["compressed"], &detail["stored_bytes"]),
        (&true.into(), &object["stored_bytes"])
    );
    whole(&scratch, id, &output);
}
