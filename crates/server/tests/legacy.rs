//! Clients that were written for the original's WebSocket.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::{TestRecord, TestServer};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stepflow_model::{EventKind, ExecutionId, Status};
use stepflow_server::Auth;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

struct Client(WebSocketStream<TcpStream>);

/// Connects to `address`; the server answers under that name.
async fn connect(
    address: std::net::SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Client, u16> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match client_async(request, stream).await {
        Ok((socket, _)) => Ok(Client(socket)),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Client {
    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let next = timeout(Duration::from_secs(20), self.0.next()).await.expect("no message");
        match next {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Everything up to the answer to a ping, which comes after what was sent before it.
    async fn hear_until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear().await);
            if heard.last().unwrap()["type"] == kind {
                return heard;
            }
        }
    }
}

async fn start(auth: Auth, prepare: impl FnOnce(&stepflow_record::Storage)) -> TestServer {
    TestServer::configured(auth, prepare, |config, _| {
        config.legacy_ws = Some("127.0.0.1:0".parse().unwrap());
        config.limits.stalled = Duration::from_secs(2);
    })
    .await
}

fn of(message: &Value) -> Option<&str> {
    let data = &message["data"];
    data["execution_id"].as_str().or_else(|| data["id"].as_str())
}

#[tokio::test]
async fn without_a_subscription_everything_comes_with_one_only_what_was_asked_for() {
    let server = start(Auth::Off, |_| {}).await;
    let legacy = server.legacy.unwrap();
    let mut all = connect(legacy, "/", &[]).await.unwrap();
    assert_eq!(all.hear().await["type"], "connection_established");
    let mut one = TestRecord::start(&server.storage, "one");
    let mut two = TestRecord::start(&server.storage, "two");
    let started = |heard: &[Value], id: ExecutionId| {
        heard.iter().any(|m| m["type"] == "execution_started" && of(m) == Some(&id.to_string()))
    };
    let mut heard = Vec::new();
    while !(started(&heard, one.id) && started(&heard, two.id)) {
        heard.push(all.hear().await);
    }
    let mut some = connect(legacy, "/x", &[]).await.unwrap();
    let hello = some.hear().await;
    assert_eq!(hello["data"]["connected_clients"], 2, "{hello}");
    some.say(json!({"type": "subscribe", "data": {"execution_id": two.id}})).await;
    some.say(json!({"type": "ping"})).await;
    some.hear_until("pong").await;

    for record in [&mut one, &mut two] {
        record.step(0, "Build");
        record.print("compiling\nlinking\n");
        record.step_ends(0, "Build");
        record.emit(EventKind::Meta {
            step: None,
            key: "k".to_owned(),
            value: "v".to_owned(),
            title: None,
            dialect: None,
        });
        record.print("META:k:v\n");
        record.end(Status::Completed);
        record.ring();
    }
    let everything = |heard: &[Value], id: ExecutionId| {
        let mine: Vec<&Value> = heard.iter().filter(|m| of(m) == Some(&id.to_string())).collect();
        let kinds: Vec<&str> = mine.iter().map(|m| m["type"].as_str().unwrap()).collect();
        let expected = [
            "step_update",
            "execution_update",
            "log_entry",
            "step_update",
            "execution_update",
            "execution_update",
            "execution_update",
            "execution_completed",
        ];
        assert!(kinds.ends_with(&expected), "{kinds:?}");
        let log = mine.iter().find(|m| m["type"] == "log_entry").unwrap();
        assert_eq!(log["data"]["content"], "compiling\nlinking", "and no marker");
        assert_eq!(log["data"]["step_id"], format!("{id}-s0"));
        assert_eq!((&log["data"]["level"], &log["data"]["lines"]), (&json!("info"), &json!(2)));
        let done = mine.iter().rfind(|m| m["type"] == "execution_update").unwrap();
        assert_eq!(done["data"]["status"], "completed");
        assert_eq!(done["data"]["metadata"], json!({"k": "v"}));
    };
    let heard = some.hear_until("execution_completed").await;
    assert!(heard.iter().all(|m| of(m) == Some(&two.id.to_string())), "{heard:?}");
    everything(&heard, two.id);
    let mut heard = all.hear_until("execution_completed").await;
    heard.extend(all.hear_until("execution_completed").await);
    everything(&heard, one.id);
    everything(&heard, two.id);

    // And everything again without it; a question with a mistake is answered.
    some.say(json!({"type": "unsubscribe", "execution_id": two.id})).await;
    some.say(json!({"type": "subscribe_execution", "data": {"execution_id": "nope"}})).await;
    let error = some.hear_until("error").await.pop().unwrap();
    assert!(error["data"]["message"].as_str().unwrap().contains("execution_id"), "{error}");
    let three = TestRecord::start(&server.storage, "three");
    assert_eq!(of(&some.hear().await), Some(three.id.to_string().as_str()));
    drop(three);
    drop((all, some));
    server.stop().await;
}

#[tokio::test]
async fn who_comes_late_gets_what_comes_from_then_on() {
    let mut record = None;
    let server = start(Auth::Off, |storage| {
        let mut running = TestRecord::start(storage, "runs");
        running.step(0, "Build");
        running.print("old line\n");
        record = Some(running);
    })
    .await;
    let mut record = record.unwrap();
    let mut client = connect(server.legacy.unwrap(), "/", &[]).await.unwrap();
    client.say(json!({"type": "get_status"})).await;
    let status = client.hear_until("server_status").await.pop().unwrap();
    assert_eq!(status["data"]["running"], true);
    record.print("new line\n");
    record.ring();
    let log = client.hear_until("log_entry").await.pop().unwrap();
    assert_eq!(log["data"]["content"], "new line");
    assert_eq!(log["data"]["step_id"], format!("{}-s0", record.id));
    // A recorder that is lost ends it with a verdict.
    let id = record.die();
    let end = client.hear_until("execution_completed").await;
    let update = end.iter().rfind(|m| m["type"] == "execution_update").unwrap();
    assert_eq!(update["data"]["reason"], "recorder_lost");
    assert!(
        end.iter().any(|m| m["type"] == "step_update" && m["data"]["step"]["status"] == "failed")
    );
    assert_eq!(of(end.last().unwrap()), Some(id.to_string().as_str()));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_dropped_and_holds_up_nobody() {
    let mut record = None;
    let server =
        start(Auth::Off, |storage| record = Some(TestRecord::start(storage, "loud"))).await;
    let mut record = record.unwrap();
    let legacy = server.legacy.unwrap();
    let mut stopped = Vec::new();
    for _ in 0..20 {
        let mut client = connect(legacy, "/", &[]).await.unwrap();
        client.hear().await;
        stopped.push(client); // From here on it takes nothing.
    }
    let mut reads = connect(legacy, "/", &[]).await.unwrap();
    let established = reads.hear().await;
    assert_eq!(established["data"]["connected_clients"], 21);
    reads.say(json!({"type": "ping"})).await;
    reads.hear_until("pong").await;
    // More than sockets hold for a client that does not read them.
    let line = "x".repeat(99);
    let lines = 200_000;
    for _ in 0..200 {
        record.print(format!("{line}\n").repeat(lines as usize / 200));
    }
    record.ring();
    let mut seen = 0;
    while seen < lines {
        let log = reads.hear_until("log_entry").await.pop().unwrap();
        seen += log["data"]["lines"].as_u64().unwrap();
    }
    assert_eq!(seen, lines);
    // Meanwhile executions begin and end, and are heard of.
    let mut other = TestRecord::start(&server.storage, "other");
    other.end(Status::Completed);
    reads.hear_until("execution_completed").await;
    let dropped = async {
        loop {
            reads.say(json!({"type": "get_status"})).await;
            let status = reads.hear_until("server_status").await.pop().unwrap();
            if status["data"]["connected_clients"] == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), dropped).await.expect("the stopped clients are dropped");
    drop(stopped);
    record.end(Status::Completed);
    server.stop().await;
}

#[tokio::test]
async fn the_http_port_speaks_it_to_those_who_begin_with_it() {
    let server = TestServer::start(Auth::Off).await;
    let mut client = connect(server.address, "/ws", &[]).await.unwrap();
    assert_eq!(client.hear().await["op"], "hello");
    client.say(json!({"type": "subscribe_execution", "data": {}})).await;
    assert_eq!(client.hear().await["type"], "connection_established");
    assert_eq!(client.hear().await["type"], "error");
    client.say(json!({"op": "ping"})).await;
    assert_eq!(client.hear().await["type"], "error", "once it is theirs, it stays theirs");

    let mut client = connect(server.address, "/ws?protocol=legacy", &[]).await.unwrap();
    assert_eq!(client.hear().await["type"], "connection_established");
    let record = TestRecord::start(&server.storage, "any");
    assert_eq!(of(&client.hear().await), Some(record.id.to_string().as_str()));

    // Ours stays ours.
    let mut client = connect(server.address, "/ws", &[]).await.unwrap();
    client.hear().await;
    client.say(json!({"op": "ping"})).await;
    assert_eq!(client.hear().await["op"], "pong");
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await["op"], "error");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn the_old_port_is_as_closed_as_the_other() {
    let server = start(Auth::On, |_| {}).await;
    let legacy = server.legacy.unwrap();
    let (token, id) = server.token("viewer", None).await;
    let bearer = format!("Bearer {token}");
    let page = format!("http://{}", server.address);
    let cookie = server.cookie().await;
    for (headers, status) in [
        (vec![], Some(401)),
        (vec![("authorization", "Bearer sfm_no")], Some(401)),
        (vec![("authorization", bearer.as_str())], None),
        (vec![("x-api-key", token.as_str())], None),
        (vec![("authorization", bearer.as_str()), ("origin", "http://evil.example")], Some(403)),
        (vec![("authorization", bearer.as_str()), ("host", "evil.example")], Some(421)),
        (vec![("cookie", cookie.as_str())], Some(403)),
        (vec![("cookie", cookie.as_str()), ("origin", page.as_str())], None),
        (vec![("cookie", cookie.as_str()), ("origin", "http://127.0.0.1:1")], Some(403)),
    ] {
        let refused = connect(legacy, "/", &headers).await.err();
        assert_eq!(refused, status, "{headers:?}");
    }
    let in_the_url = connect(legacy, &format!("/?token={token}"), &[]).await.err();
    assert_eq!(in_the_url, Some(401));
    // Its stream ends with its token.
    let mut client = connect(legacy, "/", &[("authorization", &bearer)]).await.unwrap();
    client.hear().await;
    let revoked = server.ask_socket("DELETE", &format!("/api/tokens/{id}")).send().await;
    assert_eq!(revoked.status, 204);
    let closed = timeout(Duration::from_secs(20), client.0.next()).await.unwrap();
    assert!(matches!(closed, Some(Ok(Message::Close(_)))), "{closed:?}");
    server.stop().await;
}

#[tokio::test]
async fn one_caller_has_so_many_requests_and_streams_and_the_socket_any_number() {
    let server = TestServer::configured(
        Auth::On,
        |_| {},
        |config, _| {
            config.limits.requests_per_s = 20;
            config.limits.streams = 2;
            config.api_key = stepflow_server::ApiKey::new("a-key-from-the-environment");
        },
    )
    .await;
    let (token, _) = server.token("viewer", None).await;
    let ask = |token: &str| server.ask("GET", "/api/session").bearer(token).send();
    let mut refused = None;
    for _ in 0..2_000 {
        let answer = ask(&token).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("faster than 20 requests a second");
    assert_eq!(refused.header("retry-after"), "1");
    // Another one has its own.
    assert_eq!(ask("a-key-from-the-environment").await.status, 200);
    let by_header =
        server.ask("GET", "/api/session").header("x-api-key", "a-key-from-the-environment");
    assert_eq!(by_header.send().await.status, 200);
    assert_eq!(ask("a-key-from-the-environmenT").await.status, 401);
    for _ in 0..50 {
        assert_eq!(server.ask_socket("GET", "/api/session").send().await.status, 200);
    }
    let key = [("authorization", "Bearer a-key-from-the-environment")];
    let one = connect(server.address, "/ws", &key).await.unwrap();
    let two = connect(server.address, "/ws?protocol=legacy", &key).await.unwrap();
    assert_eq!(connect(server.address, "/ws", &key).await.err(), Some(429));
    drop(one);
    let freed = async {
        while connect(server.address, "/ws", &key).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(20), freed).await.expect("a place comes back");
    drop(two);
    server.stop().await;
}

#[tokio::test]
async fn a_download_that_is_not_taken_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut record = None;
    let server = TestServer::configured(
        Auth::Off,
        |storage| record = Some(TestRecord::start(storage, "large")),
        |config, _| config.limits.stalled = Duration::from_millis(500),
    )
    .await;
    let mut record = record.unwrap();
    let size = 64 << 20;
    for _ in 0..64 {
        record.print(vec![b'x'; size / 64]);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        format!("GET /api/executions/{}/log/raw HTTP/1.1\r\nHost: localhost\r\n\r\n", record.id);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut taken = stream.read(&mut [0; 1_000]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await; // It is this that is tested.
    let mut buffer = vec![0; 1 << 20];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => taken += count,
        }
    }
    assert!(taken < size, "{taken} bytes came: nobody cut it off");
    record.end(Status::Completed);
    server.stop().await;
}
