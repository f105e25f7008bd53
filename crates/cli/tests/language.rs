//! What people read follows `LANG`; what programs read never does.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use stepflow_testkit::{Ended, Scratch, signal};

const CHINESE: (&str, &str) = ("LC_ALL", "zh_CN.UTF-8");

fn scratch() -> Scratch {
    Scratch::new(env!("CARGO_BIN_EXE_stepflow"))
}

fn said(scratch: &Scratch, args: &[&str]) -> String {
    let output = scratch.command(args).env(CHINESE.0, CHINESE.1).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn has_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn c9_doctor_speaks_chinese_to_people_and_english_to_programs() {
    let scratch = scratch();
    scratch.output(&["run", "--output", "quiet", "--", "true"]);
    let report = said(&scratch, &["doctor"]);
    let mut lines = report.lines();
    assert_eq!(lines.next().unwrap(), format!("存储 {}", scratch.storage.root().display()));
    let last = lines.next_back().unwrap();
    assert!(last.contains("项正常") && last.contains("项失败"), "{last}");
    let mut checks = 0;
    for line in lines {
        if line.starts_with(' ') {
            assert!(has_chinese(line), "what to do: {line}");
            continue;
        }
        checks += 1;
        let (word, rest) = line.split_once(' ').unwrap();
        assert!(["正常", "注意", "失败"].contains(&word), "{line}");
        // A time and the name of a file system are the same everywhere.
        let (id, detail) = rest.trim_start().split_once(' ').unwrap();
        assert!(["clock", "filesystem"].contains(&id) || has_chinese(detail), "{line}");
    }
    assert!(checks > 15, "{report}");
    let json = said(&scratch, &["doctor", "--json"]);
    assert!(!has_chinese(&json), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["checks"].as_array().unwrap().len(), checks);
}

#[test]
fn c9_serve_and_upgrade_speak_chinese() {
    let scratch = scratch();
    assert!(said(&scratch, &["upgrade"]).starts_with("无需升级："));
    assert_eq!(said(&scratch, &["upgrade", "--json"]), "{\"upgraded\":false}\n");
    let mut serve = scratch
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .env(CHINESE.0, CHINESE.1)
        .env("STEPFLOW_ENV", "production")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(serve.stderr.take().unwrap()).lines().map(Result::unwrap);
    let serve = Ended(serve);
    let mut heard = Vec::new();
    for line in lines {
        if line.contains("stepflow open") {
            signal(serve.0.id() as i32, Signal::SIGTERM);
        }
        heard.push(line);
    }
    assert!(heard[0].starts_with("警告：STEPFLOW_ENV 不起作用："), "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with("正在监听 http://127.0.0.1:")), "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with("请在 10 分钟内登录")), "{heard:?}");
    assert_eq!(heard.last().unwrap(), "已停止；正在运行的执行会继续");
    // What keeps it from starting, and what to do.
    let output = scratch
        .command(&["serve", "--listen", "192.0.2.1:0", "--auth", "off"])
        .env(CHINESE.0, CHINESE.1)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("错误：`--auth off` 只能用于回环地址"), "{text}");
    assert!(text.contains("提示：请保持认证开启"), "{text}");
}

#[test]
fn c9_help_is_chinese_below_its_examples_too() {
    let scratch = scratch();
    let help = said(&scratch, &["run", "--help"]);
    assert!(help.contains("示例：\n  stepflow run -- bash examples/pipeline.sh"), "{help}");
    assert!(help.contains("脚本在终端上提问") && help.contains("退出码：脚本自身的"), "{help}");
    assert!(help.contains("[默认：10s]"), "{help}");
}
