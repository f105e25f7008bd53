//! What a flag, a variable and a line of the file make of a server.

use clap::Parser;

use super::*;
use crate::args::{Args, Command};

fn settings(flags: &[&str], env: &[(&str, &str)], file: &str) -> Result<Settings, String> {
    let line = ["stepflow", "serve"].iter().chain(flags);
    let Command::Serve(args) = Args::try_parse_from(line).unwrap().command else { panic!("serve") };
    let lookup = |name: &str| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let file: crate::config::File = toml::from_str(file).unwrap();
    Settings::new(&args, &lookup, file.serve).map_err(|failure| format!("{failure:?}"))
}

fn with_env(env: &[(&str, &str)]) -> Settings {
    settings(&[], env, "").unwrap()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = "[serve]\nlisten = \"127.0.0.1:1\"\nauth = \"off\"\nhosts = [\"a\"]\nmax_running = 2\n\
                legacy_ws = \"127.0.0.1:3\"\nlog_level = \"INFO\"\ncache_size = 4\n\
                wal_autocheckpoint = 5\nrequests_per_second = 6\nstreams_per_caller = 7\n\
                upload_max = 8\nlog_sync = \"never\"";
    let read = settings(&[], &[], file).unwrap();
    assert_eq!(read.listen.port(), 1);
    assert_eq!((read.auth, read.max_running), (OnOff::Off, 2));
    assert_eq!(read.legacy_ws.unwrap().port(), 3);
    assert_eq!(read.log_filter, "info");
    assert_eq!((read.catalog.cache_pages, read.catalog.wal_autocheckpoint), (4, 5));
    assert_eq!((read.limits.requests_per_s, read.limits.streams), (6, 7));
    assert_eq!(read.limits.upload_bytes, 8);
    assert_eq!(read.log_sync, LogSync::Never);
    let env = [
        ("STEPFLOW_LISTEN", "127.0.0.1:11"),
        ("STEPFLOW_PORT", "99"),
        ("STEPFLOW_AUTH_ENABLED", "true"),
        ("STEPFLOW_WS_PORT", "13"),
        ("STEPFLOW_LOG_LEVEL", "WARNING"),
        ("STEPFLOW_CACHE_SIZE", "14"),
        ("STEPFLOW_LOG_SYNC", "always"),
        ("STEPFLOW_WAL_AUTOCHECKPOINT", "15"),
    ];
    let read = settings(&[], &env, file).unwrap();
    assert_eq!((read.listen.port(), read.auth), (11, OnOff::On));
    assert_eq!(read.legacy_ws.unwrap(), "127.0.0.1:13".parse().unwrap());
    assert_eq!((read.log_filter.as_str(), read.log_sync), ("warn", LogSync::Always));
    assert_eq!((read.catalog.cache_pages, read.catalog.wal_autocheckpoint), (14, 15));
    let flags = [
        "--listen=127.0.0.1:21",
        "--auth=off",
        "--host=b",
        "--max-running=22",
        "--legacy-ws=127.0.0.1:23",
        "--requests-per-second=26",
        "--streams-per-caller=27",
        "--upload-max=28",
        "--log-sync=interval",
    ];
    let read = settings(&flags, &env, file).unwrap();
    assert_eq!((read.listen.port(), read.auth, read.max_running), (21, OnOff::Off, 22));
    assert_eq!(read.hosts, ["a", "b"]);
    assert_eq!(read.legacy_ws.unwrap().port(), 23);
    assert_eq!((read.limits.requests_per_s, read.limits.streams), (26, 27));
    assert_eq!(read.log_sync, LogSync::Interval);
    assert_eq!(read.limits.upload_bytes, 28);
}

#[test]
fn host_and_port_are_where_it_listens() {
    let listen = |env: &[(&str, &str)]| with_env(env).listen.to_string();
    assert_eq!(listen(&[]), "127.0.0.1:8080");
    assert_eq!(listen(&[("STEPFLOW_PORT", "9000")]), "127.0.0.1:9000");
    assert_eq!(listen(&[("STEPFLOW_HOST", "0.0.0.0")]), "0.0.0.0:8080");
    assert_eq!(listen(&[("STEPFLOW_HOST", "localhost"), ("STEPFLOW_PORT", "")]), "127.0.0.1:8080");
    assert_eq!(listen(&[("STEPFLOW_HOST", "[::1]"), ("STEPFLOW_PORT", "1")]), "[::1]:1");
    for bad in [
        ("STEPFLOW_PORT", "x"),
        ("STEPFLOW_PORT", "70000"),
        ("STEPFLOW_HOST", "a b"),
        ("STEPFLOW_LISTEN", "8080"),
    ] {
        let error = settings(&[], &[bad], "").unwrap_err();
        assert!(error.contains(bad.0), "{error}");
    }
}

#[test]
fn the_old_websocket_is_served_on_request_in_both_spellings() {
    assert_eq!(with_env(&[]).legacy_ws, None);
    for name in ["STEPFLOW_WEBSOCKET_PORT", "STEPFLOW_WS_PORT"] {
        let env = [(name, "8765"), ("STEPFLOW_WEBSOCKET_HOST", "0.0.0.0")];
        assert_eq!(with_env(&env).legacy_ws.unwrap().to_string(), "0.0.0.0:8765");
        assert_eq!(with_env(&env[..1]).legacy_ws.unwrap().to_string(), "127.0.0.1:8765");
    }
    let both = [("STEPFLOW_WEBSOCKET_PORT", "1"), ("STEPFLOW_WS_PORT", "2")];
    assert!(settings(&[], &both, "").unwrap_err().contains("same setting"));
    let read = with_env(&[("STEPFLOW_WEBSOCKET_HOST", "0.0.0.0")]);
    assert_eq!((read.legacy_ws, read.warnings.len()), (None, 1));
}

#[test]
fn a_way_to_log_in_that_is_not_there_is_refused() {
    assert_eq!(with_env(&[]).auth, OnOff::On);
    assert_eq!(with_env(&[("STEPFLOW_AUTH_ENABLED", "False")]).auth, OnOff::Off);
    assert_eq!(with_env(&[("STEPFLOW_AUTH_METHOD", "token")]).auth, OnOff::On);
    assert_eq!(with_env(&[("STEPFLOW_AUTH_METHOD", "none")]).auth, OnOff::Off);
    for bad in [
        ("STEPFLOW_AUTH_METHOD", "oidc"),
        ("STEPFLOW_AUTH_METHOD", "basic"),
        ("STEPFLOW_AUTH_OIDC_URL", "https://id.example"),
        ("STEPFLOW_AUTH_ENABLED", "perhaps"),
    ] {
        let error = settings(&[], &[bad], "").unwrap_err();
        assert!(error.contains(bad.0), "{error}");
    }
    let off = [("STEPFLOW_AUTH_ENABLED", "0"), ("STEPFLOW_AUTH_OIDC_URL", "https://id.example")];
    assert_eq!((with_env(&off).auth, with_env(&off).warnings.len()), (OnOff::Off, 1));
    let contradiction = [("STEPFLOW_AUTH_ENABLED", "1"), ("STEPFLOW_AUTH_METHOD", "none")];
    assert!(settings(&[], &contradiction, "").unwrap_err().contains("contradicts"));
}

#[test]
fn an_api_key_must_be_hard_to_guess() {
    assert!(with_env(&[("STEPFLOW_API_KEY", "0123456789abcdef0123")]).api_key.is_some());
    for bad in ["short", "0123456789abcdef 0123456789"] {
        assert!(settings(&[], &[("STEPFLOW_API_KEY", bad)], "").is_err(), "{bad}");
    }
    let shown = format!("{:?}", with_env(&[("STEPFLOW_API_KEY", "0123456789abcdef0123")]));
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}

#[test]
fn what_has_no_effect_is_said() {
    for name in ["STEPFLOW_BUFFER_SIZE", "STEPFLOW_ENV"] {
        let warnings = with_env(&[(name, "production")]).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(name), "{warnings:?}");
    }
    for (level, filter) in [("INFO", "info"), ("CRITICAL", "error"), ("a=debug", "a=debug")] {
        assert_eq!(with_env(&[("STEPFLOW_LOG_LEVEL", level)]).log_filter, filter);
    }
}
