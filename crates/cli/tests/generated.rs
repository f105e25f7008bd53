//! Completions and manual pages are made from the flags; help has examples; errors are short.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::process::{Command, Stdio};

use stepflow_testkit::{Scratch, Tmux};

fn scratch() -> Scratch {
    Scratch::new(env!("CARGO_BIN_EXE_stepflow"))
}

fn commands(scratch: &Scratch) -> Vec<String> {
    let help = scratch.text(&["--help"]);
    let list = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_teaches_by_examples() {
    let scratch = scratch();
    let all = commands(&scratch);
    assert!(all.len() > 15, "{all:?}");
    for command in all {
        let help = scratch.text(&[&command, "--help"]);
        assert!(help.contains("Examples:"), "{command} has no examples");
        assert!(!help.contains("__ids"), "{command} shows what is not for people");
    }
}

#[test]
fn a_flag_that_is_mistyped_is_suggested() {
    let scratch = scratch();
    for (args, wanted) in [
        (vec!["logs", "last", "--folow"], "--follow"),
        (vec!["ls", "--stat", "failed"], "--status"),
        (vec!["artefacts"], "artifacts"),
    ] {
        let output = scratch.output(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text.contains(wanted), "{args:?}: {text}");
    }
}

#[test]
fn errors_are_at_most_three_lines_and_say_what_next() {
    let scratch = scratch();
    scratch.output(&["run", "--output", "quiet", "--", "true"]);
    for args in [
        vec!["logs", "zzzzzz"],
        vec!["logs", "last", "--step", "Nothing"],
        vec!["logs", "last", "--level", "loud"],
        vec!["logs", "last", "--grep", "["],
        vec!["logs", "last", "--since", "soon"],
        vec!["ls", "--status", "fine"],
        vec!["ls", "--source", "nowhere"],
        vec!["ls", "--since", "soon"],
        vec!["ls", "--not", "colour=red"],
        vec!["ls", "--not", "exit=none"],
        vec!["ls", "--before", "yesterday"],
        vec!["cancel", "last"],
        vec!["attach", "last"],
        vec!["artifacts", "get", "last"],
        vec!["open"],
        vec!["watch"],
    ] {
        let output = scratch.output(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(text.starts_with("error: ") && text.contains("\n  hint: "), "{args:?}: {text}");
        assert!(text.lines().count() <= 3, "{args:?}: {text}");
        // The same in Chinese, to the last word.
        let chinese = scratch.command(&args).env("LC_ALL", "zh_CN.UTF-8").output().unwrap();
        let text = String::from_utf8(chinese.stderr).unwrap();
        assert_eq!(chinese.status.code(), output.status.code(), "{args:?}");
        assert!(text.starts_with("错误：") && text.contains("\n  提示"), "{args:?}: {text}");
    }
}

#[test]
fn who_stops_reading_is_told_nothing() {
    let scratch = scratch();
    scratch.output(&["run", "--output", "quiet", "--", "echo", "a line"]);
    for args in [
        &["ls"][..],
        &["ls", "--json"],
        &["show", "last"],
        &["show", "last", "--json"],
        &["logs", "last"],
        &["logs", "last", "--raw"],
        &["logs", "last", "--json"],
        &["artifacts", "ls", "last"],
        &["export", "last"],
        &["export", "last", "--format", "json"],
        &["export", "last", "--format", "trace"],
        &["completions", "bash"],
        &["doctor"],
        &["reindex"],
    ] {
        // A pipe whose reader has gone already.
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let output = scratch.command(args).stdout(write).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // As a shell says of a program that SIGPIPE ended: `ls` of the coreutils ends so.
        assert_eq!((said.as_ref(), output.status.code()), ("", Some(141)), "{args:?}");
    }
}

#[test]
fn a_list_keeps_to_the_window() {
    let scratch = scratch();
    let name = "a long name 日本語のテキスト ".repeat(20);
    scratch.output(&["run", "--name", &name, "--output", "quiet", "--", "true"]);
    for cols in [40, 60, 80, 120, 200] {
        let tmux = Tmux::shell(&scratch, cols, 24);
        tmux.enters(&format!("clear; {} ls; echo end", scratch.program().display()));
        tmux.waits_for("\nend");
        // Wrapped lines in one piece: a row that is too long would be one.
        let all = tmux.everything();
        let row = all.lines().find(|line| line.starts_with("completed")).unwrap();
        let width = unicode_width::UnicodeWidthStr::width(row);
        assert!(width <= usize::from(cols) && row.ends_with('…'), "{cols}: {row}");
        assert!(width > usize::from(cols) - 3, "as much as there is room for: {cols}: {row}");
    }
}

#[test]
fn completions_name_every_command_and_ids_are_offered() {
    let scratch = scratch();
    scratch.output(&["run", "--output", "quiet", "--", "true"]);
    let id = scratch.newest().to_string();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = scratch.text(&["completions", shell]);
        for command in commands(&scratch) {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
    let ids = scratch.text(&["__ids", &id[..4]]);
    assert_eq!(ids.trim(), id);
    assert!(scratch.text(&["__ids", "la"]).starts_with("last\n"));
    // A real bash completes with it.
    let script = scratch.work().join("complete.bash");
    std::fs::write(&script, scratch.text(&["completions", "bash"])).unwrap();
    let complete = |words: &str, at: usize| {
        let ask = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={at}; \
             _stepflow_with_ids stepflow \"${{COMP_WORDS[{at}]}}\" logs; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let bin = scratch.program().parent().unwrap().display().to_string();
        let output = Command::new("bash")
            .args(["-c", &ask])
            .env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()))
            .env("STEPFLOW_STORAGE_PATH", scratch.storage.root())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete("stepflow logs --fol", 2).contains("--follow"));
    assert!(complete(&format!("stepflow logs {}", &id[..4]), 2).contains(&id));
    assert!(complete(&format!("stepflow artifacts get {}", &id[..4]), 3).contains(&id));
}

#[test]
fn c9_a_real_zsh_completes_ids() {
    let scratch = scratch();
    scratch.output(&["run", "--output", "quiet", "--", "true"]);
    let id = scratch.newest().to_string();
    let script = scratch.work().join("complete.zsh");
    std::fs::write(&script, scratch.text(&["completions", "zsh"])).unwrap();
    let tmux = Tmux::shell(&scratch, 100, 24);
    let bin = scratch.program().parent().unwrap().display().to_string();
    tmux.enters(&format!("PATH='{bin}':$PATH PS1='%% ' exec zsh -f"));
    tmux.waits_for("% ");
    tmux.enters(&format!(
        "autoload -Uz compinit; compinit -D -u; source '{}'; echo rea''dy",
        script.display()
    ));
    tmux.waits_for("ready");
    for command in ["logs", "cancel", "artifacts get", "watch --mouse"] {
        tmux.types(&format!("stepflow {command} {}", &id[..4]));
        tmux.keys("Tab");
        tmux.waits_for(&format!("stepflow {command} {id}"));
        tmux.keys("C-u");
    }
    // Flags are offered as before.
    tmux.types("stepflow logs --fol");
    tmux.keys("Tab");
    tmux.waits_for("stepflow logs --follow");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let scratch = scratch();
    let dir = scratch.work().join("man");
    assert!(scratch.output(&["man", dir.to_str().unwrap()]).status.success());
    for command in commands(&scratch) {
        let page = std::fs::read_to_string(dir.join(format!("stepflow-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{command}");
    }
    assert!(!dir.join("stepflow-__ids.1").exists());
}
