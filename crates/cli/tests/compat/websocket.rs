//! The recorded frames: the same client says the same, and the same scripts run meanwhile.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use stepflow_testkit::PATIENCE;

use crate::{
    diff::{Comparison, Difference, Ids},
    server::Server,
    table,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The next frame of the server.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = timeout(PATIENCE, socket.next()).await.expect("a frame").unwrap().unwrap();
        if let Message::Text(text) = frame {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Runs `command` to its end; its id, and everything that was heard of it.
async fn run(
    server: &Server,
    socket: &mut Socket,
    name: &str,
    command: &str,
) -> (String, Vec<Value>) {
    let body = json!({"name": name, "command": command}).to_string();
    let answer = server.ask("POST", "/api/executions?wait=1", &[], &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.json().unwrap()["id"].as_str().unwrap().to_owned();
    let mut heard = Vec::new();
    loop {
        let frame = next(socket).await;
        let data = &frame["data"];
        // Something of the one before may still come.
        if data["id"] != id.as_str() && data["execution_id"] != id.as_str() {
            continue;
        }
        let ended = frame["type"] == "execution_completed";
        heard.push(frame);
        if ended {
            return (id, heard);
        }
    }
}

/// What tells a frame from the others of its execution.
fn key(frame: &Value) -> String {
    let kind = frame["type"].as_str().unwrap();
    let data = &frame["data"];
    match kind {
        "execution_update" => format!(
            "{kind} {} {} {} {}",
            data["status"].as_str().unwrap(),
            data["total_steps"],
            data["completed_steps"],
            data["metadata"].as_object().unwrap().len()
        ),
        "step_update" => format!(
            "{kind} {} {} {}",
            data["step"]["name"].as_str().unwrap(),
            data["step"]["status"].as_str().unwrap(),
            data["step"]["metadata"].as_object().unwrap().len()
        ),
        "artifact_update" => format!("{kind} {}", data["artifact"]["name"].as_str().unwrap()),
        _ => kind.to_owned(),
    }
}

/// The original repeats a step's update with each tenth line: once is enough.
fn without_repeats(frames: &[Value]) -> Vec<&Value> {
    let mut kept: Vec<&Value> = Vec::new();
    for frame in frames {
        if kept.last().is_none_or(|last| key(last) != key(frame)) {
            kept.push(frame);
        }
    }
    kept
}

/// Pairs the frames of both by the longest common sequence of their keys.
fn compare(label: &str, ids: &mut Ids, theirs: &[Value], ours: &[Value]) -> Vec<Difference> {
    let theirs = without_repeats(theirs);
    let ours: Vec<&Value> = ours.iter().collect();
    let keys = |frames: &[&Value]| frames.iter().map(|frame| key(frame)).collect::<Vec<_>>();
    let (their_keys, our_keys) = (keys(&theirs), keys(&ours));
    let mut common = vec![vec![0; ours.len() + 1]; theirs.len() + 1];
    for (at, their_key) in their_keys.iter().enumerate().rev() {
        for (other, our_key) in our_keys.iter().enumerate().rev() {
            common[at][other] = if their_key == our_key {
                common[at + 1][other + 1] + 1
            } else {
                common[at + 1][other].max(common[at][other + 1])
            };
        }
    }
    let (mut at, mut other, mut found) = (0, 0, Vec::new());
    while at < theirs.len() || other < ours.len() {
        let paired = at < theirs.len() && other < ours.len() && their_keys[at] == our_keys[other];
        if paired {
            let kind = theirs[at]["type"].as_str().unwrap();
            let label = format!("{label}: {kind}");
            let mut comparison = Comparison { label: &label, ids, found: Vec::new() };
            comparison.values("", theirs[at], ours[other]);
            found.append(&mut comparison.found);
            (at, other) = (at + 1, other + 1);
            continue;
        }
        let mut comparison = Comparison { label, ids, found: Vec::new() };
        if other == ours.len()
            || (at < theirs.len() && common[at + 1][other] >= common[at][other + 1])
        {
            comparison.add("missing", &their_keys[at], theirs[at].to_string(), String::new());
            at += 1;
        } else {
            comparison.add("added", &our_keys[other], String::new(), ours[other].to_string());
            other += 1;
        }
        found.append(&mut comparison.found);
    }
    found
}

#[tokio::test]
async fn every_recorded_frame_comes_as_the_original_sent_it_or_as_the_table_says() {
    let table = table::read();
    let server = Server::start(&["--legacy-ws", "127.0.0.1:0"]);
    let recorded = crate::fixture("websocket.json");
    let frames = recorded["frames"].as_array().unwrap();
    // Any path, as before.
    let url = format!("{}/any/path?x=1", server.legacy.as_ref().unwrap());
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut ids = Ids::default();
    let mut found = Vec::new();
    let mut at = 0;
    let is_theirs = |frame: &Value| frame["dir"] == "server->client";
    // What is said before the first script: question by question.
    let mut said = "connect".to_owned();
    loop {
        let mut theirs = Vec::new();
        while is_theirs(&frames[at]) {
            theirs.push(frames[at]["message"].clone());
            at += 1;
        }
        // A question whose answer is known to come ends what this one was answered.
        let mut ours = Vec::new();
        if said == "connect" {
            ours.push(next(&mut socket).await);
        } else {
            socket.send(Message::text(r#"{"type":"ping","data":"the end"}"#)).await.unwrap();
            loop {
                let frame = next(&mut socket).await;
                let more = said.contains("\"ping\"")
                    && !ours.iter().any(|one: &Value| one["type"] == "pong");
                if frame["type"] == "pong" && !more {
                    break;
                }
                ours.push(frame);
            }
        }
        found.extend(compare(&said, &mut ids, &theirs, &ours));
        if frames[at]["dir"] == "note" {
            break;
        }
        let message = &frames[at]["message"];
        said = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
        socket.send(Message::text(said.clone())).await.unwrap();
        at += 1;
    }
    // Then the scripts, one after the other.
    while at < frames.len() {
        let Some(command) = frames[at]["message"]
            .as_str()
            .and_then(|note| note.strip_prefix("POST /api/executions "))
        else {
            at += 1; // `POST answered 201`, or a frame of the one before.
            continue;
        };
        let first = frames[at..]
            .iter()
            .find(|frame| is_theirs(frame) && { frame["message"]["data"]["command"] == command });
        let first = &first.unwrap()["message"]["data"];
        let (id, name) = (first["id"].as_str().unwrap(), first["name"].as_str().unwrap());
        let theirs: Vec<Value> = frames
            .iter()
            .filter(|frame| is_theirs(frame))
            .map(|frame| frame["message"].clone())
            .filter(|message| message["data"]["id"] == id || message["data"]["execution_id"] == id)
            .collect();
        let (our_id, ours) = run(&server, &mut socket, name, command).await;
        ids.bind(id, &our_id);
        // A copy takes its time: when an artifact's frame comes among the others is open.
        let is_file = |frame: &Value| frame["type"].as_str().unwrap().starts_with("artifact");
        let (their_files, theirs): (Vec<_>, Vec<_>) = theirs.into_iter().partition(is_file);
        let (our_files, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(is_file);
        found.extend(compare(name, &mut ids, &theirs, &ours));
        found.extend(compare(name, &mut ids, &their_files, &our_files));
        at += 1;
    }
    table.check("websocket", &found);
}
