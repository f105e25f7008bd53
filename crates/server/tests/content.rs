//! What a script made is shown in place: whatever it is, it is nobody's document, and reaches nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Answer, TestRecord, TestServer};
use stepflow_model::{ExecutionId, Status};
use stepflow_server::Auth;

const HTML: &[u8] = b"<!doctype html><script>fetch('/api/executions')</script><meta http-equiv=refresh content='0;url=//x'>";
const SVG: &[u8] =
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>";
const NAMES: [(&str, &[u8]); 16] = [
    ("report.html", HTML),
    ("REPORT.HTM", HTML),
    ("page.xhtml", HTML),
    ("image.svg", SVG),
    // These say that they are images and are not: a browser must not find out otherwise.
    ("liar.png", HTML),
    ("liar.jpg", SVG),
    ("sound.mp3", HTML),
    ("film.mp4", HTML),
    ("script.js", b"alert(1)"),
    ("style.css", b"*{}"),
    ("feed.xml", SVG),
    ("paper.pdf", b"%PDF-1.4"),
    ("plain.txt", HTML),
    ("noname", HTML),
    ("data.json", b"null,\"success\":false"),
    ("double.html.gz", b"\x1f\x8b"),
];

async fn server() -> (TestServer, ExecutionId) {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "hostile");
        for (at, (name, bytes)) in (0..).zip(NAMES) {
            record.artifact(at, name, bytes);
        }
        record.end(Status::Completed);
        id = Some(record.id);
    })
    .await;
    (server, id.unwrap())
}

/// The sources that a policy allows for one kind of request.
fn directive<'a>(policy: &'a str, name: &str) -> Option<&'a str> {
    policy.split(';').map(str::trim).find_map(|one| one.strip_prefix(name)).map(str::trim)
}

/// What holds for all that a script made, by whatever way it is taken.
fn harmless(answer: &Answer, of: &str) {
    let policy = answer.header("content-security-policy");
    assert!(directive(policy, "sandbox").is_some(), "{of}: {policy}");
    assert_eq!(directive(policy, "default-src"), Some("'none'"), "{of}: no network by default");
    assert!(!policy.contains("allow-same-origin"), "{of}: nobody's origin");
    for allowed in
        ["allow-popups", "allow-top-navigation", "allow-forms", "allow-modals", "allow-downloads"]
    {
        assert!(!policy.contains(allowed), "{of}: {allowed}");
    }
    assert!(!policy.contains("http") && !policy.contains('*'), "{of}: no host is named: {policy}");
    assert!(directive(policy, "connect-src").is_none_or(|to| to == "'none'"), "{of}");
    assert!(matches!(directive(policy, "frame-ancestors"), Some("'none'" | "'self'")), "{of}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{of}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{of}");
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{of}");
    assert_eq!(answer.header("cache-control"), "no-store", "{of}");
    assert_eq!(answer.header("set-cookie"), "", "{of}");
}

// Page: U4 T6 previews of hostile files
#[tokio::test]
async fn each_kind_has_its_type_and_its_policy() {
    let (server, id) = server().await;
    for (at, (name, bytes)) in NAMES.into_iter().enumerate() {
        let path = format!("/api/artifacts/{id}-a{at}/content");
        let expected = match name {
            "report.html" | "REPORT.HTM" | "page.xhtml" => Some("text/html; charset=utf-8"),
            "image.svg" => Some("image/svg+xml"),
            "liar.png" => Some("image/png"),
            "liar.jpg" => Some("image/jpeg"),
            "sound.mp3" => Some("audio/mpeg"),
            "film.mp4" => Some("video/mp4"),
            _ => None,
        };
        let answer = server.get(&path).await;
        let Some(expected) = expected else {
            // Not shown: neither as what it is nor as text.
            assert_eq!(answer.status, 415, "{name}");
            assert_eq!(answer.header("content-type"), "application/problem+json", "{name}");
            assert!(!answer.text().contains("<script"), "{name}");
            continue;
        };
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{name}");
        assert_eq!(answer.body, bytes, "{name}: not a byte is changed");
        assert_eq!(answer.header("content-disposition"), "inline", "{name}");
        assert_eq!(answer.header("x-dns-prefetch-control"), "off", "{name}");
        harmless(&answer, name);
        let policy = answer.header("content-security-policy");
        assert_eq!(directive(policy, "sandbox"), Some(""), "{name}: no script, no form, no popup");
        assert!(directive(policy, "script-src").is_none(), "{name}");
        // Parts, heads and what lies beyond the end are no way around.
        let part = server.ask("GET", &path).header("range", "bytes=0-3").send().await;
        assert_eq!((part.status, part.body.as_ref()), (206, &bytes[..4]), "{name}");
        harmless(&part, name);
        let beyond = server.ask("GET", &path).header("range", "bytes=9999-").send().await;
        assert_eq!(beyond.status, 416, "{name}");
        harmless(&beyond, name);
        let head = server.ask("HEAD", &path).send().await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{name}");
        harmless(&head, name);
        let wrapped = server.get(&format!("{path}?envelope=1")).await;
        assert_eq!(
            wrapped.header("content-type"),
            expected,
            "{name}: never made into anything else"
        );
        harmless(&wrapped, name);
    }
    server.stop().await;
}

// Page: U4 "allow scripts" is a second click
#[tokio::test]
async fn scripts_are_for_documents_that_were_asked_to_have_them() {
    let (server, id) = server().await;
    let scripted = server.get(&format!("/api/artifacts/{id}-a0/content?scripts=1")).await;
    assert_eq!(scripted.status, 200);
    harmless(&scripted, "scripted");
    let policy = scripted.header("content-security-policy");
    assert_eq!(directive(policy, "sandbox"), Some("allow-scripts"));
    assert_eq!(
        directive(policy, "script-src"),
        Some("'unsafe-inline'"),
        "its own, none from a host"
    );
    assert_eq!(directive(policy, "webrtc"), Some("'block'"), "no way around the network's");
    assert_eq!(directive(policy, "form-action"), Some("'none'"));
    assert_eq!(directive(policy, "base-uri"), Some("'none'"));
    assert_eq!(directive(policy, "frame-ancestors"), Some("'self'"));
    // An image has none, however it is asked for.
    let svg = server.get(&format!("/api/artifacts/{id}-a3/content?scripts=1")).await;
    assert_eq!(directive(svg.header("content-security-policy"), "sandbox"), Some(""));
    for no in ["0", "false"] {
        let inert = server.get(&format!("/api/artifacts/{id}-a0/content?scripts={no}")).await;
        assert_eq!(directive(inert.header("content-security-policy"), "sandbox"), Some(""), "{no}");
    }
    // A link from elsewhere opens it as a page of its own: that is not the reader's second click.
    let linked = server
        .ask("GET", &format!("/api/artifacts/{id}-a0/content?scripts=1"))
        .header("sec-fetch-dest", "document")
        .send()
        .await;
    assert_eq!(directive(linked.header("content-security-policy"), "sandbox"), Some(""));
    let framed = server
        .ask("GET", &format!("/api/artifacts/{id}-a0/content?scripts=1"))
        .header("sec-fetch-dest", "iframe")
        .send()
        .await;
    assert_eq!(
        directive(framed.header("content-security-policy"), "sandbox"),
        Some("allow-scripts")
    );
    server.stop().await;
}

// Page: U4 downloads are the file's own bytes
#[tokio::test]
async fn a_download_is_never_shown_and_never_wrapped() {
    let (server, id) = server().await;
    for (at, (name, bytes)) in NAMES.into_iter().enumerate() {
        for query in ["", "?envelope=1"] {
            let file = server.get(&format!("/api/artifacts/{id}-a{at}/download{query}")).await;
            assert_eq!((file.status, file.body.as_ref()), (200, bytes), "{name}{query}");
            assert!(file.header("content-disposition").starts_with("attachment; "), "{name}");
            assert!(!file.header("content-type").starts_with("text/html"), "{name}");
            harmless(&file, name);
        }
    }
    server.stop().await;
}
