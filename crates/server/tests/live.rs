//! The WebSocket, new executions, and recorders that go away.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::HashMap,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    time::Duration,
};

use common::{TestRecord, TestServer, ended_record};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stepflow_model::{EventKind, Status};
use stepflow_server::Auth;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

struct Live(WebSocketStream<TcpStream>);

fn request(server: &TestServer, headers: &[(&str, &str)]) -> Request {
    let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

impl Live {
    async fn open(server: &TestServer, headers: &[(&str, &str)]) -> Result<Self, Box<Error>> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (socket, _) = client_async(request(server, headers), stream).await.map_err(Box::new)?;
        Ok(Self(socket))
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; `Null` when the server has closed.
    async fn hear(&mut self) -> Value {
        let next = timeout(Duration::from_secs(20), self.0.next()).await.expect("no message");
        match next {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Value::Null,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }

    async fn hear_until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await;
            assert_ne!(message, Value::Null, "closed after {heard:?}");
            heard.push(message.clone());
            if is_it(&message) {
                return heard;
            }
        }
    }
}

fn status_of(error: &Error) -> u16 {
    match error {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    }
}

fn text_of(messages: &[Value]) -> String {
    let lines = messages.iter().filter(|message| message["op"] == "lines");
    let lines = lines.flat_map(|message| message["lines"].as_array().unwrap());
    lines.fold(String::new(), |text, line| {
        let end = if line["partial"] == true { "" } else { "\n" };
        text + line["text"].as_str().unwrap() + end
    })
}

#[tokio::test]
async fn a_socket_needs_a_login_and_our_own_origin() {
    let server = TestServer::start(Auth::On).await;
    let origin = format!("http://{}", server.address);
    let cookie = server.cookie().await;
    let (token, _) = server.token("viewer", None).await;
    let bearer = format!("Bearer {token}");
    let refused: &[(&[(&str, &str)], u16)] = &[
        (&[], 401),
        (&[("origin", &origin)], 401),
        (&[("cookie", &cookie)], 403),
        (&[("cookie", &cookie), ("origin", "http://evil.example")], 403),
        (&[("cookie", &cookie), ("origin", "null")], 403),
        (&[("authorization", &bearer), ("origin", "http://evil.example")], 403),
        (&[("authorization", &bearer), ("host", "evil.example")], 421),
    ];
    for (headers, status) in refused {
        let Err(error) = Live::open(&server, headers).await else { panic!("{headers:?}") };
        assert_eq!(status_of(&error), *status, "{headers:?}");
    }
    for headers in [
        &[("cookie", cookie.as_str()), ("origin", origin.as_str())][..],
        &[("authorization", bearer.as_str())],
    ] {
        let mut live = Live::open(&server, headers).await.unwrap();
        assert_eq!(live.hear().await["op"], "hello");
        live.say(json!({"op": "ping"})).await;
        assert_eq!(live.hear().await, json!({"op": "pong"}));
    }
    server.stop().await;
}

#[tokio::test]
async fn revoking_a_token_closes_its_socket() {
    let server = TestServer::start(Auth::On).await;
    let (token, id) = server.token("viewer", None).await;
    let bearer = format!("Bearer {token}");
    let mut live = Live::open(&server, &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(live.hear().await["op"], "hello");
    let revoke = server.ask_socket("DELETE", &format!("/api/tokens/{id}"));
    assert_eq!(revoke.send().await.status, 204);
    // A subscription is checked at once; without one it takes up to 5 s.
    live.say(json!({"op": "subscribe", "sub": 1, "topic": "executions"})).await;
    assert_eq!(live.hear().await, Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_says_wrong_is_answered_and_nothing_breaks() {
    let server = TestServer::start(Auth::Off).await;
    let mut live = Live::open(&server, &[]).await.unwrap();
    live.hear().await;
    let unknown = "0198c2aa-0000-7000-8000-000000000001";
    for (message, sub, status) in [
        (json!({"op": "nope", "sub": 4}), json!(4), 400),
        (json!({"op": "subscribe", "sub": 5, "topic": "nope"}), json!(5), 400),
        (json!({"op": "subscribe", "sub": 6, "topic": "execution"}), json!(6), 400),
        (json!({"op": "subscribe", "sub": 7, "topic": "execution", "id": "../x"}), json!(7), 400),
        (json!({"op": "subscribe", "sub": 8, "topic": "execution", "id": unknown}), json!(8), 404),
        (json!([1]), Value::Null, 400),
    ] {
        live.say(message.clone()).await;
        let answer = live.hear().await;
        assert_eq!(answer["op"], "error", "{message}");
        assert_eq!(answer["sub"], sub, "{message}");
        assert_eq!(answer["problem"]["status"], status, "{message}");
    }
    live.say(json!({"op": "ping"})).await;
    assert_eq!(live.hear().await["op"], "pong");
    server.stop().await;
}

#[tokio::test]
async fn an_ended_execution_is_sent_whole_from_any_cursor() {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |s| id = Some(ended_record(s))).await;
    let id = id.unwrap();
    let expected = std::fs::read(server.storage.record_dir(id).join("output.log")).unwrap();
    let mut live = Live::open(&server, &[]).await.unwrap();
    live.hear().await;
    let subscribe = |sub: u32, cursor: Option<String>, lines: bool| {
        let id = id.to_string();
        json!({"op": "subscribe", "sub": sub, "topic": "execution", "id": id, "cursor": cursor, "lines": lines})
    };
    live.say(subscribe(1, None, true)).await;
    let heard = live.hear_until(|message| message["op"] == "end").await;
    assert_eq!(heard[0]["op"], "state");
    assert_eq!(heard[0]["steps"].as_array().unwrap().len(), 2);
    assert_eq!(heard[0]["steps"][0]["logs"], json!([]));
    assert_eq!(heard[0]["artifacts"].as_array().unwrap().len(), 2);
    assert_eq!(heard[0]["annotations"].as_array().unwrap().len(), 1);
    assert_eq!(text_of(&heard), String::from_utf8_lossy(&expected));
    assert!(heard.iter().all(|message| message["cursor"].is_string()));
    let position = heard.iter().rfind(|message| message["op"] == "position").unwrap();
    assert_eq!((&position["lines"], &position["ended"]), (&json!(11), &json!(true)));

    for offset in 0..=expected.len() as u32 {
        live.say(subscribe(10 + offset, Some(format!("{offset}.3")), true)).await;
        let heard = live.hear_until(|message| message["op"] == "end").await;
        let rest = String::from_utf8_lossy(&expected[offset as usize..]);
        assert_eq!(text_of(&heard), rest, "from {offset}");
    }
    live.say(subscribe(5, None, false)).await;
    let heard = live.hear_until(|message| message["op"] == "end").await;
    assert!(heard.iter().all(|message| message["op"] != "lines"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_execution_is_followed_to_its_end() {
    let server = TestServer::start(Auth::Off).await;
    let mut live = Live::open(&server, &[]).await.unwrap();
    live.hear().await;
    live.say(json!({"op": "subscribe", "sub": 1, "topic": "executions"})).await;
    // Made elsewhere, as by `stepflow run` in another terminal.
    let mut record = TestRecord::start(&server.storage, "elsewhere");
    let id = record.id.to_string();
    live.hear_until(|message| message["execution"]["id"] == id).await;

    live.say(json!({"op": "subscribe", "sub": 2, "topic": "execution", "id": id, "lines": true}))
        .await;
    let mut all = live.hear_until(|m| m["sub"] == 2 && m["op"] == "position").await;
    record.step(0, "Build");
    record.print("half");
    record.ring();
    all.extend(
        live.hear_until(|m| {
            m["op"] == "lines" && text_of(std::slice::from_ref(m)).contains("half")
        })
        .await,
    );
    record.print(" whole \u{1f600}\n".as_bytes());
    record.emit(EventKind::Warning { code: "w".to_owned(), message: "careful".to_owned() });
    record.step_ends(0, "Build");
    record.ring();
    all.extend(
        live.hear_until(|m| m["op"] == "update" && m["steps"][0]["status"] == "completed").await,
    );
    record.end(Status::Completed);
    record.ring();
    all.extend(live.hear_until(|m| m["op"] == "end").await);
    assert_eq!(text_of(&all), "STEP_START:Build\nhalf whole \u{1f600}\nSTEP_COMPLETE:Build\n");
    let annotations: usize = all
        .iter()
        .filter(|m| m["op"] == "update")
        .map(|m| m["annotations"].as_array().unwrap().len())
        .sum();
    assert_eq!(annotations, 1, "each annotation once");
    live.hear_until(|m| m["op"] == "execution" && m["execution"]["status"] == "completed").await;
    // The marker is gone once the catalog knows.
    assert!(!server.storage.open_marker(record.id).exists());
    let cancel = server.ask("POST", &format!("/api/executions/{id}/cancel")).send().await;
    assert_eq!(cancel.status, 409);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_whose_recorder_is_gone_ends_as_lost() {
    let server = TestServer::start(Auth::Off).await;
    let mut record = TestRecord::start(&server.storage, "lost");
    record.print("last words\n");
    let mut live = Live::open(&server, &[]).await.unwrap();
    live.hear().await;
    let id = record.id.to_string();
    live.say(json!({"op": "subscribe", "sub": 2, "topic": "execution", "id": id})).await;
    live.hear_until(|message| message["op"] == "position").await;
    record.ring();
    record.die();
    let heard = live.hear_until(|message| message["op"] == "end").await;
    let last = heard.iter().rfind(|message| message["op"] == "update").unwrap();
    assert_eq!(last["execution"]["status"], "failed");
    assert_eq!(last["execution"]["reason"], "recorder_lost");
    assert_eq!(last["execution"]["exit_code"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn a_recorder_that_cannot_start_ends_its_execution_as_start_failed() {
    // `/bin/false` stands in for the recorder.
    let server = TestServer::start(Auth::Off).await;
    let body = json!({"command": ["echo", "hi there"], "tags": ["t"], "environment": {"A": "1"}});
    let answer = server.ask("POST", "/api/executions?wait=true").json(&body).send().await;
    assert_eq!(answer.status, 201);
    let answer = answer.json();
    assert_eq!((&answer["status"], &answer["name"]), (&json!("failed"), &json!("echo hi there")));
    assert_eq!(answer["id"], answer["execution_id"]);
    let id = answer["id"].as_str().unwrap();
    let detail = server.get(&format!("/api/executions/{id}")).await.json();
    assert!(
        ["start_failed", "not_started"].contains(&detail["execution"]["reason"].as_str().unwrap())
    );
    assert_eq!(detail["execution"]["source"], "server");
    // `wait` has waited for the catalog too.
    let list = server.get("/api/executions?status=failed&tag=t").await.json();
    assert_eq!(list["count"], 1);
    server.stop().await;
}

/// A stand-in for the recorder that holds the claim until somebody opens its FIFO.
fn blocking_recorder(dir: &std::path::Path) -> std::path::PathBuf {
    let fifo = dir.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let script = dir.join("recorder.sh");
    // It makes no zygote, so that each start is one of its own.
    let text = format!("#!/bin/sh\n[ \"$1\" = __zygote ] || read line < '{}'\n", fifo.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_place_can_be_cancelled_and_never_starts() {
    let mut fifo = None;
    let server = TestServer::configured(
        Auth::Off,
        |_| {},
        |config, dir| {
            config.max_running = 1;
            config.program = blocking_recorder(dir);
            fifo = Some(dir.join("fifo"));
        },
    )
    .await;
    let create = async |name: &str| {
        let body = json!({"command": "true", "name": name});
        let answer = server.ask("POST", "/api/executions").json(&body).send().await;
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let mut ids = HashMap::new();
    for name in ["first", "second", "third"] {
        ids.insert(name, create(name).await);
    }
    let statistics = server.get("/api/executions/statistics").await.json();
    assert_eq!((&statistics["queued"], &statistics["active_now"]), (&json!(3), &json!(3)));
    let active = server.get("/api/executions/active").await.json();
    assert_eq!(active["count"], 3);
    assert_eq!(active["active_executions"][0]["name"], "third");
    let cancel = server.ask("POST", &format!("/api/executions/{}/cancel", ids["second"]));
    let cancel = cancel.send().await;
    assert_eq!((cancel.status, &cancel.json()["status"]), (202, &json!("cancelled")));
    let detail = server.get(&format!("/api/executions/{}", ids["second"])).await.json();
    assert_eq!(detail["execution"]["reason"], "user");
    assert_eq!(detail["execution"]["started_at"], Value::Null);

    // The first one ends, and the third takes its place, and ends as well.
    let mut live = Live::open(&server, &[]).await.unwrap();
    live.hear().await;
    for name in ["first", "third"] {
        let id = &ids[name];
        live.say(json!({"op": "subscribe", "sub": name.len(), "topic": "execution", "id": id}))
            .await;
        let fifo = fifo.clone().unwrap();
        let write = tokio::task::spawn_blocking(move || {
            // Opening waits for the reader: the stand-in that was started.
            let mut file =
                std::fs::OpenOptions::new().write(true).custom_flags(0).open(fifo).unwrap();
            std::io::Write::write_all(&mut file, b"go\n").unwrap();
        });
        write.await.unwrap();
        let heard = live.hear_until(|message| message["op"] == "end").await;
        assert!(heard.iter().any(|m| m["execution"]["status"] == "failed"), "{name}: {heard:?}");
    }
    server.stop().await;
}
