//! A server that works in a directory with the recorded scripts.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    thread,
};

use serde_json::Value;
use stepflow_testkit::{Ended, Scratch};

use crate::STEPFLOW;

pub struct Server {
    pub address: String,
    pub legacy: Option<String>,
    _process: Ended,
    _scratch: Scratch,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Server {
    pub fn start(more: &[&str]) -> Self {
        let scratch = Scratch::new(STEPFLOW);
        let demo = scratch.work().join("demo");
        fs::create_dir(&demo).unwrap();
        for (name, text) in crate::fixture("scripts.json")["scripts"].as_object().unwrap() {
            // What is to be stopped stands still until it is: on a busy machine 0.3 s can pass
            // between its last line and the signal.
            let text = text.as_str().unwrap().replace("sleep 0.3", "sleep 600");
            fs::write(demo.join(name), text).unwrap();
        }
        // It was not kept: one step that runs until it is killed.
        fs::write(demo.join("running2.sh"), "trap '' TERM\necho STEP_START:slow\nsleep 60\n")
            .unwrap();
        let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--auth", "off"];
        args.extend(more);
        let mut child = scratch.command(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = |start: &str| loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            if let Some(rest) = line.split(start).nth(1) {
                break rest.to_owned();
            }
        };
        let address = said("listening on http://");
        let legacy = more.contains(&"--legacy-ws").then(|| said("is served on "));
        thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
        Self { address, legacy, _process: Ended(child), _scratch: scratch }
    }

    /// One request, as the recorded client made it.
    pub fn ask(&self, method: &str, path: &str, more: &[(String, String)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let mut headers = vec![
            ("Host".to_owned(), self.address.clone()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        headers.retain(|(name, _)| !more.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
        headers.extend(more.iter().cloned());
        if method == "POST" || !body.is_empty() {
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked")
        });
        let body = if chunked { unchunk(body) } else { body.to_owned() };
        Answer { status, headers, body }
    }
}

fn unchunk(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    whole
}
