//! Ordinary text of many programs holds no steps: under `auto` nothing is taken for a marker.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use stepflow_markers::dialects::{Dialects, Ending, Event, EventKind, Selection, Stream};

/// Commands whose output is text, and of whose kind a machine with Debian has most.
const COMMANDS: &[&str] = &[
    "dpkg -l",
    "dpkg -S /usr/share/doc",
    "cat /var/lib/dpkg/status",
    "cat /var/log/dpkg.log",
    "apt-cache dumpavail",
    "ls -lR /usr/share/doc",
    "ls -laR /usr/lib",
    "find /usr -type f",
    "ps auxww",
    "env",
    "mount",
    "df -a",
    "cat /proc/meminfo",
    "cat /proc/cpuinfo",
    "cat /proc/self/maps",
    "cat /proc/kallsyms",
    "cat /proc/interrupts",
    "locale -a",
    "openssl ciphers -v",
    "openssl list -all-algorithms",
    "git log -p -n 60",
    "git log --stat -n 300",
    "git diff HEAD~20",
    "git ls-files -s",
    "gcc -dM -E -x c /dev/null",
    "gcc -v -E -x c /dev/null",
    "ldconfig -p",
    "getent services",
    "getent protocols",
    "python3 -c 'help(\"modules\")'",
    "python3 -m pydoc str",
    "perl -V",
    "perldoc -T perl",
    "man bash",
    "man git",
    "man ls",
    "man tar",
    "strings -n 6 /bin/bash",
    "strings -n 6 /usr/bin/git",
    "objdump -d /bin/true",
    "readelf -a /bin/true",
    "nm -D /lib/x86_64-linux-gnu/libc.so.6",
    "base64 /bin/bash",
    "od -A x -t x1z /bin/true",
    "xxd /bin/true",
    "sha256sum /usr/bin/env /bin/bash /bin/ls",
    "tar -tvf /dev/null",
    "gzip -lv /usr/share/man/man1/git.1.gz",
    "cargo --list",
    "rustc -C help",
    "node --v8-options",
    "npm help",
    "sqlite3 :memory: .help",
    "dmesg",
    "journalctl -n 5000 --no-pager",
    "ip addr",
    "ss -a",
    "systemctl --no-pager list-units",
    "vim --version",
    "zcat /usr/share/info/dir.gz",
];

/// Files by the ends of their names, below directories that most machines have.
const FILES: &[(&str, &[&str])] = &[
    (".rs", &["/usr/local/cargo/registry/src", "/root/.cargo/registry/src"]),
    (".md", &["/usr/local/cargo/registry/src", "/root/.cargo/registry/src"]),
    (".toml", &["/root/.cargo/registry/src"]),
    (
        ".py",
        &["/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/python3.12", "/usr/lib/python3.13"],
    ),
    (".pl", &["/usr/share/perl", "/usr/share/doc", "/usr/share"]),
    (".pm", &["/usr/share/perl", "/usr/share/perl5", "/usr/lib/x86_64-linux-gnu"]),
    (".h", &["/usr/include"]),
    (".sh", &["/usr/share", "/etc", "/usr/lib"]),
    (".js", &["/usr/lib/node_modules", "/usr/share", "/usr/local/lib/node_modules"]),
    (".json", &["/usr/lib/node_modules", "/usr/local/lib/node_modules", "/usr/share"]),
    (".ts", &["/usr/lib/node_modules", "/usr/local/lib/node_modules"]),
    (".css", &["/usr/share", "../web/src"]),
    (".html", &["/usr/share"]),
    (".xml", &["/usr/share"]),
    (".c", &["/root/.cargo/registry/src", "/usr/local/cargo/registry/src", "/usr/share"]),
    (".S", &["/root/.cargo/registry/src", "/usr/local/cargo/registry/src"]),
    (".txt", &["/usr/share", "/usr/lib"]),
    (".conf", &["/etc", "/usr/lib"]),
    (".list", &["/var/lib/dpkg/info"]),
    (".md5sums", &["/var/lib/dpkg/info"]),
    (".postinst", &["/var/lib/dpkg/info"]),
    (".lock", &[".."]),
    (".svg", &["/usr/share"]),
    (".cmake", &["/usr/share"]),
    (".vim", &["/usr/share/vim"]),
];

/// Whole trees that are full of what is looked for: the sources of this very program, its tests, and
/// the packages that are about these systems.
const ABOUT_MARKERS: &[&str] = &[
    "crates/",
    "tests/",
    "docs/",
    "helpers/",
    "examples/",
    "fixtures/",
    "web/",
    "Test-Harness",
    "TAP",
    "Test2",
    "Test/",
    "buildkite",
    "teamcity",
    "github-actions",
    "ansible",
    "terraform",
    "gradle",
    "maven",
    // They quote what cargo and rustc printed.
    "jiff-",
    "syn-2",
    "syn-3",
];

/// Lines of ordinary text that begin as lines of test tools do.
const LOOK_ALIKES: &[&str] = &[
    // pytest.
    "=== test session ===",
    "=== the test session starts at noon ===",
    "==================== Results ====================",
    "= 3 passed in 0.10s =",
    "tests/test_a.py::test_one PASSED [ 50%]",
    "tests/test_a.py ..F.s [ 50%]",
    "FAILED tests/test_a.py::test_one - assert 1",
    "[gw0] [ 50%] PASSED t.py::a",
    "!!!!!!!!!!!!!!!!!!! KeyboardInterrupt !!!!!!!!!!!!!!!!!!!",
    // cargo and its harness.
    "    Finished all of it",
    "    Building the docs",
    "    Checking for updates",
    "   Compiling a list of names",
    "    Updating the index",
    "     Running the tests",
    "     Running `make all`",
    "   Doc-tests are examples that run",
    "       Fresh fruit",
    "running 12 tests",
    "and nothing about them",
    "running 1 test",
    "",
    "test one ... ok",
    "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
    "---- a stdout ----",
    "error: no such file",
    "  --> somewhere else",
    "error: it broke",
    "",
    " --> src/lib.rs:1:2",
    "warning: low battery",
    " at 10:20:30",
    "error[1]: out of range",
    "warning: user@example.org: mailbox full",
    "error: could not connect",
    // nextest.
    " Nextest run ID 7 with nextest profile: default",
    "        PASS [   0.009s] (1/2) greeter tests::a",
    "     Summary [   0.389s] 2 tests run: 2 passed, 0 skipped",
    "  stdout ───",
    // go test.
    "=== RUN",
    "=== RUNNING   fast ===",
    "--- PASS: TestAdd (0.00s)",
    "    --- FAIL: TestAdd (0.00s)",
    "ok  \tthen",
    "ok  \tall good\t0.1s",
    "FAIL\tdisk\t90%",
    "?   \texample.test/x\t[no test files]",
    "{\"Time\":\"2026-11-29T18:09:26Z\",\"Level\":\"info\",\"Action\":\"open\",\"Package\":\"box\"}",
    "{\"Action\":\"run\",\"Target\":\"fast\"}",
    "{\"time\":\"2026-11-29T18:09:26Z\",\"level\":\"INFO\",\"msg\":\"started\"}",
    // ctest.
    "Test project setup",
    "1/2 Test #1: runs ....   Passed    0.00 sec",
    "100% tests passed, 0 tests failed out of 3",
    // tqdm.
    "100%| certain",
    "disk 93%| of 100 GB [full]",
    "a table: 10%|20%|30%",
];

/// What is read of one kind at most.
struct Corpus {
    of_each: usize,
    kinds: Vec<(String, usize)>,
    found: Vec<String>,
}

impl Corpus {
    fn read(&mut self, kind: &str, text: &[u8]) {
        if text.len() < 200 {
            return; // It is not there.
        }
        let text = &text[..text.len().min(self.of_each)];
        self.kinds.push((kind.to_owned(), text.len()));
        let mut steps = Vec::new();
        let mut dialects = Dialects::new(&Selection::auto());
        let mut say = |event: Event| match event.kind {
            // Who finds a problem is detected by it.
            EventKind::StepStart { .. } | EventKind::Annotation(_) | EventKind::Detected => {
                steps.push(event);
            }
            _ => {}
        };
        for (at, piece) in text.chunks(100_000).enumerate() {
            dialects.push(Stream::Merged, piece, at as u64 * 100_000, &mut say);
        }
        dialects.end_stream(Stream::Merged, &mut say);
        dialects.end(Ending::Exit(0), &mut say);
        for event in steps {
            let line = &text[event.place.start as usize..event.place.end as usize];
            let line = String::from_utf8_lossy(&line[..line.len().min(120)]).into_owned();
            self.found.push(format!("{kind}: {} {:?}: {line:?}", event.dialect, event.kind));
        }
    }

    fn command(&mut self, line: &str) {
        let child = Command::new("sh")
            .args(["-c", &format!("timeout 20 {line}")])
            .env("MANWIDTH", "80")
            .env("GIT_PAGER", "cat")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let mut text = Vec::new();
        let out = child.stdout.take().unwrap();
        out.take(self.of_each as u64).read_to_end(&mut text).unwrap();
        // One that has more to say learns that nobody reads it.
        child.wait().unwrap();
        // Commits of this program quote markers; those of most others do not.
        let quotes = |line: &&[u8]| !matches!(line.first(), Some(b'+' | b'-' | b' ' | b'@'));
        if line.starts_with("git log -p") || line.starts_with("git diff") {
            let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').filter(quotes).collect();
            text = lines.concat();
        }
        self.read(line, &text);
    }

    fn files(&mut self, end: &str, roots: &[&str]) {
        let mut text = Vec::new();
        for root in roots {
            self.below(Path::new(root), end, &mut text, 0);
        }
        self.read(&format!("*{end}"), &text);
    }

    fn below(&self, dir: &Path, end: &str, text: &mut Vec<u8>, depth: usize) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.to_string_lossy().into_owned();
            if text.len() >= self.of_each {
                return;
            }
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if ABOUT_MARKERS.iter().any(|about| name.contains(about)) || name.contains("/target") {
                continue;
            }
            if meta.is_dir() && depth < 8 {
                self.below(&path, end, text, depth + 1);
            } else if meta.is_file() && name.ends_with(end) && meta.len() < 2_000_000 {
                text.extend(fs::read(&path).unwrap_or_default());
                text.push(b'\n');
            }
        }
    }

    /// What no file holds but every machine can make.
    fn made(&mut self) {
        let (mut sql, mut access, mut json, mut csv, mut log, mut hex) = Default::default();
        let mut near = String::new();
        let (sql, access, json): (&mut String, &mut String, &mut String) =
            (&mut sql, &mut access, &mut json);
        let (csv, log, hex): (&mut String, &mut String, &mut String) =
            (&mut csv, &mut log, &mut hex);
        let mut random = 88_172_645_463_325_252_u64;
        for row in 0..20_000_u64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (a, b) = (random % 256, (random >> 8) % 1_000);
            writeln!(
                sql,
                "INSERT INTO \"order\" VALUES({row},'it''s -- {b}','::1',NULL,x'{random:x}');"
            )
            .unwrap();
            writeln!(access, "10.0.{}.{a} - - [29/Nov/2026:09:{:02}:{:02} +0000] \"GET /a/{b}?q=1::2#x HTTP/1.1\" 200 {b} \"-\" \"curl/8\"", b % 256, a % 60, b % 60).unwrap();
            writeln!(json, "{{\"id\":{row},\"ok\":true,\"name\":\"not ok {b}\",\"at\":[{a},{b}],\"path\":\"std::vec::{a}\"}}").unwrap();
            writeln!(csv, "{row},\"error: {b}\",{a}.{b},1..{a},--- {b} ---").unwrap();
            writeln!(log, "2026-11-29T09:{:02}:{:02}.{b:03}Z WARN app::db::pool [{a}] ok {row}: {b}% | step {a} of {b}", a % 60, b % 60).unwrap();
            // What a line of a tool would be, but for a detail.
            let almost = match row % 12 {
                0 => format!("[{a}/{b}] of the pages"),
                1 => format!("[{:>3}%] of {b} users agree", a % 101),
                2 => format!("app.log:{b}:{a}: error: it says"),
                3 => format!("make: the best of {b}; make[{a}] is a word"),
                4 => format!("src/main.c:{b}: the quick brown fox, not an error: {a}"),
                5 => format!("note x.go:{b}: and main.py:{a}: import os"),
                6 => format!("+ item {b} of a list"),
                7 => format!("error TS is no code; error[{a}]: at {b}"),
                8 => format!("  {b}:{a}  error  that no file has"),
                9 => format!("In file.sh line {b}: \"Traceback (most recent call last)\""),
                10 => format!("A.java:{b}: import java.util.List; // error: {a}"),
                _ => format!("FAILED: {b} of {a}; ninja is a word"),
            };
            writeln!(near, "{almost}").unwrap();
            writeln!(hex, "{random:016x} {a:02x} # {b} ## {a} ### ::").unwrap();
        }
        let look_alikes = format!("{}\n", LOOK_ALIKES.join("\n")).repeat(20);
        self.read("text about test tools", look_alikes.as_bytes());
        for (kind, text) in [
            ("SQL", sql),
            ("access log", access),
            ("JSON lines", json),
            ("CSV", csv),
            ("service log", log),
            ("hex", hex),
            ("almost", &mut near),
        ] {
            self.read(kind, text.as_bytes());
        }
    }

    /// What looks much like the output of tools, and is none.
    fn look_alikes(&mut self) {
        self.read("like builds", include_bytes!("look-alikes/builds.txt"));
    }

    fn check(&self) -> usize {
        assert!(
            self.found.is_empty(),
            "{} of: {:#?}",
            self.found.len(),
            &self.found[..self.found.len().min(20)]
        );
        self.kinds.iter().map(|(_, bytes)| bytes).sum()
    }
}

#[test]
fn ordinary_text_holds_no_steps() {
    let mut corpus = Corpus { of_each: 200_000, kinds: Vec::new(), found: Vec::new() };
    corpus.made();
    corpus.look_alikes();
    for line in [
        "dpkg -l",
        "env",
        "ps auxww",
        "git log --stat -n 50",
        "cat /proc/meminfo",
        "base64 /bin/bash",
    ] {
        corpus.command(line);
    }
    for (end, roots) in FILES.iter().take(4) {
        corpus.files(end, roots);
    }
    corpus.check();
    assert!(corpus.kinds.len() >= 8, "{:?}", corpus.kinds);
}

#[test]
#[ignore = "reads this machine: tens of megabytes, a minute"]
fn thirty_megabytes_of_thirty_kinds_hold_no_steps() {
    let mut corpus = Corpus { of_each: 4_000_000, kinds: Vec::new(), found: Vec::new() };
    corpus.made();
    for line in COMMANDS {
        corpus.command(line);
    }
    for (end, roots) in FILES {
        corpus.files(end, roots);
    }
    let bytes = corpus.check();
    for (kind, bytes) in &corpus.kinds {
        println!("{bytes:>9}  {kind}");
    }
    println!("{bytes} bytes of {} kinds", corpus.kinds.len());
    assert!(corpus.kinds.len() >= 30, "{} kinds", corpus.kinds.len());
    assert!(bytes >= 30_000_000, "{bytes} bytes");
}
