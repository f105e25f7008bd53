//! Who may call what: the whole table against every kind of caller.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Answer, Ask, TestServer, ended_record};
use serde_json::json;
use stepflow_server::{Auth, RouteInfo, Server, routes};

const ID: &str = "0198c2aa-0000-7000-8000-000000000001";

fn ask(server: &TestServer, route: &RouteInfo) -> Ask {
    let path = route.path.replace("{id}", ID).replace("{aid}", &format!("{ID}-a0"));
    server.ask(route.method, &path)
}

/// Let through: whatever the route itself then says, it was not the door.
fn is_in(answer: &Answer) -> bool {
    !matches!(answer.status, 401 | 403 | 421)
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_names_and_nobody_else() {
    let server = TestServer::start(Auth::On).await;
    let (viewer, _) = server.token("viewer", None).await;
    let (operator, _) = server.token("operator", None).await;
    let (revoked, revoked_id) = server.token("operator", None).await;
    // Used before it is revoked: what is kept in memory must not outlive the revocation.
    assert_eq!(server.ask("GET", "/api/session").bearer(&revoked).send().await.status, 200);
    let path = format!("/api/tokens/{revoked_id}");
    assert_eq!(server.ask_socket("DELETE", &path).send().await.status, 204);
    let cookie = server.cookie().await;
    let origin = format!("http://{}", server.address);

    let routes = routes();
    assert!(routes.len() > 20);
    for route in &routes {
        let at = |who: &str| format!("{} {} as {who}", route.method, route.path);
        let open = route.permission == "open";
        let reads = open || route.permission == "viewer";
        let operates = reads || route.permission == "operator";
        let changes = route.method != "GET";

        let nobody = ask(&server, route).send().await;
        // A wrong login code is 401 too, but not the door's.
        let door = nobody.status == 401 && !nobody.text().contains("code-wrong");
        assert_eq!(!door, open, "{}", at("nobody"));
        for bad in ["sfm_nope", "", revoked.as_str(), "sfm_"] {
            let answer = ask(&server, route).bearer(bad).send().await;
            assert_eq!(is_in(&answer) || open, open, "{}", at("a bad token"));
        }
        let answer = ask(&server, route).bearer(&viewer).send().await;
        assert_eq!(is_in(&answer) || open, reads, "{}", at("a viewer"));
        let answer = ask(&server, route).bearer(&operator).send().await;
        assert_eq!(is_in(&answer) || open, operates, "{}", at("an operator"));
        let answer = ask(&server, route).bearer(&operator).header("origin", "http://evil.example");
        assert_eq!(answer.send().await.status, 403, "{}", at("a foreign page with a token"));

        let with_cookie = || ask(&server, route).header("cookie", &cookie);
        let answer = with_cookie().send().await;
        let plain = operates && !changes && route.path != "/ws";
        assert_eq!(is_in(&answer) || open, plain || open, "{}", at("a bare cookie"));
        if route.path != "/api/logout" {
            let answer = with_cookie().header("origin", &origin).header("x-stepflow", "1");
            assert_eq!(is_in(&answer.send().await) || open, operates, "{}", at("the page"));
        }
        let answer = with_cookie().header("origin", "null").header("x-stepflow", "1");
        assert_eq!(answer.send().await.status, 403, "{}", at("a sandboxed page"));

        let path = route.path.replace("{id}", ID).replace("{aid}", &format!("{ID}-a0"));
        let answer = server.ask_socket(route.method, &path).send().await;
        assert!(is_in(&answer) || open, "{}", at("the owner at the socket"));
        let answer = ask(&server, route).bearer(&operator).header("host", "evil.example");
        assert_eq!(answer.send().await.status, 421, "{}", at("a rebound name"));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_table_and_its_page_agree() {
    let page = include_str!("../../../docs/reference/api.md");
    for route in routes() {
        assert!(page.contains(route.path), "{} is not in docs/reference/api.md", route.path);
    }
}

#[tokio::test]
async fn an_expired_token_opens_nothing() {
    let server = TestServer::start(Auth::On).await;
    let (token, id) = server.token("viewer", Some(1)).await;
    let list = server.ask_socket("GET", "/api/tokens").send().await.json();
    let of = |list: &serde_json::Value| {
        list["tokens"].as_array().unwrap().iter().find(|t| t["id"] == *id).cloned().unwrap()
    };
    assert!(of(&list)["expires_at"].is_string());
    assert!(!list.to_string().contains(&token), "a list never shows a token");
    // One second is the shortest life: until it is over, it may be let in.
    let refused = async {
        while server.ask("GET", "/api/session").bearer(&token).send().await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), refused).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_login_code_opens_one_session_which_ends_at_the_logout() {
    let server = TestServer::start(Auth::On).await;
    let link = server.login_url.clone().unwrap();
    let code = link.split("/login#code=").nth(1).unwrap();
    assert!(link.starts_with(&format!("http://{}", server.address)));
    let login = || server.ask("POST", "/api/login").json(&json!({ "code": code }));
    let good = login().send().await;
    assert_eq!(good.status, 204);
    let cookie = good.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(login().send().await.status, 401, "a second time");

    let session = || server.ask("GET", "/api/session").header("cookie", &cookie);
    assert_eq!(session().send().await.json(), json!({"authenticated": true, "kind": "cookie"}));
    let origin = format!("http://{}", server.address);
    let logout = server
        .ask("POST", "/api/logout")
        .header("cookie", &cookie)
        .header("origin", &origin)
        .header("x-stepflow", "1");
    assert_eq!(logout.send().await.status, 204);
    assert_eq!(session().send().await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn without_authentication_a_foreign_page_still_changes_nothing() {
    let server = TestServer::start(Auth::Off).await;
    let create = || server.ask("POST", "/api/executions").json(&json!({"command": "true"}));
    assert_eq!(create().send().await.status, 201);
    let origin = format!("http://{}", server.address);
    assert_eq!(create().header("origin", &origin).send().await.status, 201);
    assert_eq!(create().header("sec-fetch-site", "same-origin").send().await.status, 201);
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        assert_eq!(create().header(name, value).send().await.status, 403, "{name}: {value}");
    }
    assert_eq!(server.get("/api/session").await.json()["kind"], "off");
    let socket_only = server.ask("POST", "/api/login-code").send().await;
    assert_eq!(socket_only.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_neither_loopback_nor_configured_is_refused() {
    let server = TestServer::start(Auth::Off).await;
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.9.9", 200),
        ("[::1]:8080", 200),
        ("stepflow.test", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("8.8.8.8", 421),
        ("", 421),
    ] {
        let answer = server.ask("GET", "/api/health").header("host", host).send().await;
        assert_eq!(answer.status, status, "{host}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_open_to_all_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = stepflow_record::Storage::open(dir.path()).unwrap();
    let mut config = common::config(&storage, Auth::Off);
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = Server::bind(config).await.unwrap_err();
    assert!(error.to_string().contains("--auth off"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_storage() {
    let server = TestServer::start(Auth::On).await;
    let error = Server::bind(common::config(&server.storage, Auth::On)).await.unwrap_err();
    let pid = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    let storage = server.storage.clone();
    // Even when it wants the same port.
    let mut config = common::config(&storage, Auth::On);
    config.listen = server.address;
    let error = Server::bind(config).await.unwrap_err();
    assert!(error.to_string().contains(&pid), "{error}");
    server.stop().await;
    assert_eq!(stepflow_engine::WriterLock::holder(&storage), None);
}

#[tokio::test]
async fn bodies_are_json_small_and_known() {
    let server = TestServer::start(Auth::Off).await;
    let post = || server.ask("POST", "/api/executions");
    let json = "application/json";
    let too_large = format!(r#"{{"command":"{}"}}"#, "a".repeat(1 << 20));
    let cases: &[(&str, &str, u16)] = &[
        ("text/plain", r#"{"command":"true"}"#, 415),
        ("application/x-www-form-urlencoded", "command=true", 415),
        (json, "{", 400),
        (json, "[]", 400),
        (json, "{}", 400),
        (json, r#"{"command":""}"#, 400),
        (json, r#"{"command":null}"#, 400),
        (json, r#"{"command":5}"#, 400),
        (json, r#"{"command":["true",5]}"#, 400),
        (json, r#"{"command":"true","owner":"root"}"#, 400),
        (json, r#"{"command":"true","timeout":-1}"#, 400),
        (json, r#"{"command":"true","timeout":1e300}"#, 400),
        (json, r#"{"command":"echo 'a"}"#, 400),
        (json, &too_large, 413),
    ];
    for (kind, body, status) in cases {
        let answer = post().header("content-type", kind).body(*body).send().await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status, *status, "{kind} {start}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], *status);
        assert_eq!(problem["error"], problem["detail"]);
        assert!(!problem["request_id"].as_str().unwrap().is_empty());
    }
    let shell = post().json(&json!({"command": "make && make test"})).send().await;
    assert_eq!(shell.status, 400);
    assert!(shell.text().contains("shell"), "{}", shell.text());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_in_the_table_is_404_and_says_so_as_a_problem() {
    let server = TestServer::start(Auth::Off).await;
    for path in [
        "/api",
        "/api/nope",
        "/api/executions/",
        "/api/executions/nope",
        "/api/executions/..%2f..%2fetc",
        "/api/executions/0198C2AA-0000-7000-8000-000000000001",
        "/API/executions",
        "/api//executions",
        "/api/executions/%61ctive/x",
        "/api/artifacts/x/download",
        "/nope",
        "/index.html",
        "/../Cargo.toml",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    let wrong = server.ask("PUT", "/api/executions").send().await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.json()["type"], "about:blank#method-not-allowed");
    assert!(wrong.header("allow").contains("GET"));
    server.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = TestServer::start_with(Auth::Off, |storage| _ = ended_record(storage)).await;
    for path in ["/", "/login", "/api/health", "/api/nope", "/nope", "/api/executions"] {
        let answer = server.get(path).await;
        let csp = answer.header("content-security-policy");
        assert!(csp.contains("default-src 'none'"), "{path}: {csp}");
        assert!(csp.contains("require-trusted-types-for 'script'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    let old = server.get(&format!("/execution?id={ID}")).await;
    assert_eq!(old.header("location"), format!("/executions/{ID}"));
    assert_eq!(server.get("/history").await.header("location"), "/executions");
    let health = server.ask("HEAD", "/api/health").send().await;
    assert_eq!((health.status, health.body.len()), (200, 0));
    server.stop().await;
}
