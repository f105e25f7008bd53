//! A server in this process, records written by hand, and a client.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part of these helpers")]

use std::{
    io::Write,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use stepflow_model::{
    Dropped, Event, EventKind, ExecutionId, Source, Spec, Status, StepStatus, Stream,
};
use stepflow_record::{JournalWriter, Storage, Writer};
use stepflow_server::{Auth, BasePath, Server, ServerConfig};
use stepflow_sys::{host::SocketDir, lock::Lock};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::oneshot,
    task::JoinHandle,
};

pub const BASE_US: i64 = 1_795_377_600_000_000; // 2026-11-22T20:00:00Z

/// A record that a test writes itself, as a recorder would.
pub struct TestRecord {
    pub id: ExecutionId,
    pub dir: PathBuf,
    storage: Storage,
    writer: Writer,
    journal: JournalWriter,
    seq: u64,
    base_us: i64,
    /// How much later than one event after the other the next ones are.
    waited_us: u64,
    claim: Option<Lock>,
    bell: UnixListener,
    callers: Vec<std::os::unix::net::UnixStream>,
}

pub fn spec(name: &str) -> Spec {
    Spec {
        id: ExecutionId::new(uuid::Uuid::now_v7()),
        name: name.to_owned(),
        command: vec!["bash".to_owned(), "demo.sh".to_owned()],
        cwd: "/".to_owned(),
        env: [("A".to_owned(), "1".to_owned())].into(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: vec!["demo".to_owned()],
        metadata: serde_json::Map::new(),
        user: "ada".to_owned(),
        created_us: BASE_US,
        source: Source::Cli,
        bound: false,
        timeout_ms: None,
        grace_ms: 10_000,
        drain_ms: 5_000,
        stop_on_error: false,
        split_stderr: false,
        shell: false,
        pty: None,
        log_sync: stepflow_model::LogSync::default(),
        containment: stepflow_model::Containment::default(),
        leftover: stepflow_model::Leftover::default(),
        log_max_bytes: 0,
        log_full: stepflow_model::LogFull::default(),
        on_disk_full: stepflow_model::OnDiskFull::default(),
        dialect: stepflow_model::dialect_default(),
        junit: stepflow_model::JunitFiles::default(),
        rerun_of: None,
    }
}

impl TestRecord {
    /// A record that runs: its claim is held until the end.
    pub fn start(storage: &Storage, name: &str) -> Self {
        Self::start_at(storage, name, BASE_US)
    }

    /// The same, created at a time of its own.
    pub fn start_at(storage: &Storage, name: &str, base_us: i64) -> Self {
        Self::start_of(storage, Spec { created_us: base_us, ..spec(name) })
    }

    /// The same, asked for as `spec` says.
    pub fn start_of(storage: &Storage, spec: Spec) -> Self {
        let created = storage.create(&spec).unwrap();
        let dir = storage.record_dir(spec.id);
        let run = SocketDir::open(&storage.run_dir()).unwrap();
        let bell = run.bind(&Storage::socket_name(spec.id)).unwrap();
        let mut record = Self {
            id: spec.id,
            writer: Writer::create(&dir).unwrap(),
            journal: JournalWriter::create(&dir).unwrap(),
            dir,
            storage: storage.clone(),
            seq: 0,
            base_us: spec.created_us,
            waited_us: 0,
            claim: Some(created.claim),
            bell,
            callers: Vec::new(),
        };
        record.emit(EventKind::Started {
            pid: 1,
            start_ticks: 1,
            boot_id: stepflow_sys::host::boot_id(),
            recorder_pid: 1,
            keeper_pid: 1,
            containment: "keeper".to_owned(),
            cgroup: None,
            host: "here".to_owned(),
        });
        record
    }

    pub fn emit(&mut self, kind: EventKind) {
        self.seq += 1;
        let (offset, lines) = self.writer.appended();
        let at_us = self.seq * 1_000 + self.waited_us;
        let time_us = self.base_us + at_us as i64;
        let event = Event { seq: self.seq, time_us, at_us, offset, lines, kind };
        self.journal.append(&event).unwrap();
    }

    /// What follows is so much later.
    pub fn wait_us(&mut self, us: u64) {
        self.waited_us += us;
    }

    /// An artifact, by its index, with a copy of `bytes`.
    pub fn artifact(&mut self, artifact: u32, path: &str, bytes: &[u8]) {
        self.emit(EventKind::Artifact {
            artifact,
            step: None,
            path: path.to_owned(),
            description: String::new(),
            dialect: None,
        });
        let digest = format!("{artifact:064x}");
        let dir = self.storage.artifact_dir(self.id);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&digest), bytes).unwrap();
        self.emit(EventKind::ArtifactStored {
            artifact,
            sha256: Some(digest),
            size: bytes.len() as u64,
            changed: false,
            problem: None,
        });
    }

    pub fn print(&mut self, text: impl AsRef<[u8]>) {
        let (_, written) =
            self.writer.append(Stream::Stdout, text.as_ref(), BASE_US * 1_000, self.seq);
        written.unwrap();
        self.writer.close_entry().unwrap();
    }

    /// The middle goes by policy, so that about `keep` bytes of the output stay.
    pub fn drop_middle(&mut self, keep: u64) -> Dropped {
        let dropped = self.writer.excess(keep).unwrap().unwrap();
        self.emit(EventKind::OutputDropped { dropped, reason: "log_max_bytes".to_owned() });
        self.writer.drop_output(dropped).unwrap();
        dropped
    }

    pub fn step(&mut self, step: u32, name: &str) {
        self.emit(EventKind::StepStarted {
            step,
            name: name.to_owned(),
            parent: None,
            key: None,
            params: serde_json::Map::new(),
            dialect: None,
            loose: false,
        });
        self.print(format!("STEP_START:{name}\n"));
    }

    pub fn step_ends(&mut self, step: u32, name: &str) {
        self.print(format!("STEP_COMPLETE:{name}\n"));
        self.step_ends_as(step, StepStatus::Completed);
    }

    pub fn step_ends_as(&mut self, step: u32, status: StepStatus) {
        self.emit(EventKind::StepFinished {
            step,
            status,
            exit_code: Some(i32::from(status != StepStatus::Completed)),
            error: None,
            by: "marker".to_owned(),
            detail: None,
            done: false,
        });
    }

    /// Wakes whoever has subscribed; waits for the first one to come.
    pub fn ring(&mut self) {
        if self.callers.is_empty() {
            let (mut caller, _) = self.bell.accept().unwrap();
            let mut line = [0; 64];
            let read = std::io::Read::read(&mut caller, &mut line).unwrap();
            assert!(line[..read].starts_with(br#"{"op":"subscribe"}"#));
            self.callers.push(caller);
        }
        let line = br#"{"op":"position","bytes":0,"lines":0,"seq":0,"safe":0,"ended":false}"#;
        for caller in &mut self.callers {
            // One that has seen the end already has gone.
            let _ = caller.write_all(&[line, b"\n".as_slice()].concat());
        }
    }

    /// Records the end and lets the claim go.
    pub fn end(&mut self, status: Status) {
        self.emit(EventKind::Exited {
            status,
            reason: None,
            exit_code: Some(0),
            signal: None,
            core: false,
            message: None,
            digest: self.writer.digest(),
            leftover: vec![],
        });
        self.claim = None;
    }

    /// The recorder is gone without a word.
    pub fn die(mut self) -> ExecutionId {
        self.callers.clear();
        let run = SocketDir::open(&self.storage.run_dir()).unwrap();
        std::fs::remove_file(run.path(&Storage::socket_name(self.id))).unwrap();
        self.id
    }
}

/// The demo record: preamble, two steps, a warning, an artifact with a copy and one without.
pub fn ended_record(storage: &Storage) -> ExecutionId {
    let mut record = TestRecord::start(storage, "demo");
    record.print("hello\n");
    record.step(0, "Build");
    record.print("compiling é\nbad \u{fffd}");
    record.print(b"\xff\n");
    record.emit(EventKind::Artifact {
        artifact: 0,
        step: Some(0),
        path: "out/report.html".to_owned(),
        description: "Report".to_owned(),
        dialect: None,
    });
    record.print("ARTIFACT:out/report.html:Report\n");
    let copy = b"<script>alert(1)</script>";
    let digest = "a".repeat(64);
    let dir = storage.artifact_dir(record.id);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(&digest), copy).unwrap();
    record.emit(EventKind::ArtifactStored {
        artifact: 0,
        sha256: Some(digest),
        size: copy.len() as u64,
        changed: false,
        problem: None,
    });
    record.emit(EventKind::Artifact {
        artifact: 1,
        step: None,
        path: "missing.txt".to_owned(),
        description: String::new(),
        dialect: None,
    });
    record.print("ARTIFACT:missing.txt\n");
    record.emit(EventKind::ArtifactStored {
        artifact: 1,
        sha256: None,
        size: 0,
        changed: false,
        problem: Some("no such file".to_owned()),
    });
    record.step_ends(0, "Build");
    record.emit(EventKind::Warning { code: "odd".to_owned(), message: "odd".to_owned() });
    record.step(1, "Test");
    record.print("1 ok\n2 ok\n");
    record.step_ends(1, "Test");
    record.print("bye");
    record.end(Status::Completed);
    record.id
}

pub struct TestServer {
    pub storage: Storage,
    pub address: std::net::SocketAddr,
    pub legacy: Option<std::net::SocketAddr>,
    pub login_url: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<stepflow_server::Ended, stepflow_server::ServeError>>>,
    _dir: tempfile::TempDir,
}

pub fn config(storage: &Storage, auth: Auth) -> ServerConfig {
    ServerConfig {
        base_path: BasePath::default(),
        storage: storage.clone(),
        listen: "127.0.0.1:0".parse().unwrap(),
        auth,
        hosts: vec!["stepflow.test".to_owned()],
        max_running: 10,
        legacy_ws: None,
        api_key: None,
        limits: stepflow_server::Limits::default(),
        catalog: stepflow_catalog::Role::Server.into(),
        ingest_resume: Duration::from_secs(60),
        compress_after: None,
        log_sync: stepflow_model::LogSync::default(),
        usual: stepflow_engine::Usual::default(),
        retention: stepflow_engine::Policy::default(),
        disk_min_free: stepflow_record::MinFree::default(),
        program: PathBuf::from("/bin/false"),
    }
}

impl TestServer {
    pub async fn start(auth: Auth) -> Self {
        Self::start_with(auth, |_| {}).await
    }

    pub async fn start_with(auth: Auth, prepare: impl FnOnce(&Storage)) -> Self {
        Self::configured(auth, prepare, |_, _| {}).await
    }

    pub async fn configured(
        auth: Auth,
        prepare: impl FnOnce(&Storage),
        change: impl FnOnce(&mut ServerConfig, &Path),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(&dir.path().join("storage")).unwrap();
        prepare(&storage);
        let mut config = config(&storage, auth);
        change(&mut config, dir.path());
        let server = Server::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            storage,
            address: server.local_addr(),
            legacy: server.legacy_ws(),
            login_url: server.login_url().map(str::to_owned),
            task: Some(tokio::spawn(server.run(async move { drop(stopped.await) }))),
            stop: Some(stop),
            _dir: dir,
        }
    }

    pub async fn stop(mut self) {
        self.halt().await;
    }

    /// Stops; the storage stays as long as this lives.
    pub async fn halt(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    /// A request over TCP with the right `Host`.
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(Target::Tcp(self.address), method, path)
    }

    /// A request over the Unix socket.
    pub fn ask_socket(&self, method: &str, path: &str) -> Ask {
        Ask::new(Target::Unix(self.storage.run_dir().join("server.sock")), method, path)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    /// Waits until the catalog, which projects records in the background, lists so many.
    pub async fn listed(&self, count: u64) {
        for _ in 0..1500 {
            let list = self.ask_socket("GET", "/api/executions").send().await.json();
            if list["total_count"] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the catalog does not list {count} executions");
    }

    /// Makes a token over the Unix socket: its text and id.
    pub async fn token(&self, scope: &str, expires_in_s: Option<u64>) -> (String, String) {
        let body =
            serde_json::json!({"name": "test", "scope": scope, "expires_in_s": expires_in_s});
        let made = self.ask_socket("POST", "/api/tokens").json(&body).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    /// Logs in: the cookie.
    pub async fn cookie(&self) -> String {
        let url = self.ask_socket("POST", "/api/login-code").send().await.json();
        let code = url["url"].as_str().unwrap().split("#code=").nth(1).unwrap().to_owned();
        let login =
            self.ask("POST", "/api/login").json(&serde_json::json!({ "code": code })).send().await;
        assert_eq!(login.status, 204);
        let cookie = login.header("set-cookie").to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }
}

enum Target {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

pub struct Ask {
    target: Target,
    request: hyper::http::request::Builder,
    body: Vec<u8>,
    host: bool,
}

impl Ask {
    fn new(target: Target, method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path);
        Self { target, request, body: Vec::new(), host: true }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.host &= !name.eq_ignore_ascii_case("host");
        self.request = self.request.header(name, value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, with its body still to be read.
    pub async fn open(mut self) -> Response<Incoming> {
        if self.host {
            let host = match &self.target {
                Target::Tcp(address) => address.to_string(),
                Target::Unix(_) => "localhost".to_owned(),
            };
            self.request = self.request.header("host", host);
        }
        let request = self.request.body(Full::new(Bytes::from(self.body))).unwrap();
        match self.target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path).await.unwrap();
                let (mut sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        }
    }

    pub async fn send(self) -> Answer {
        let (parts, body) = self.open().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
