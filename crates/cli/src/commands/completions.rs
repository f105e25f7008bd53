//! What shells and `man` need to know: made from the flags themselves, so it is never out of date.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{CommandFactory, ValueEnum};
use clap_complete::{Shell as Clap, generate};

use crate::{
    args::Args,
    failure::Failure,
    source::{Query, Source},
    text::why,
};

/// Ids that are offered.
const IDS: u32 = 50;

/// Shells that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

/// Prints the completion of one shell.
pub fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    io::stdout().write_all(&script(shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let clap = match shell {
        Shell::Bash => Clap::Bash,
        Shell::Zsh => Clap::Zsh,
        Shell::Fish => Clap::Fish,
        Shell::Powershell => Clap::PowerShell,
    };
    generate(clap, &mut Args::command(), "stepflow", &mut script);
    // Ids are of the moment: the shell asks for them when it needs them.
    match shell {
        Shell::Bash => script.extend_from_slice(BASH.as_bytes()),
        Shell::Fish => script.extend_from_slice(FISH.as_bytes()),
        Shell::Zsh => script = with_ids_in_zsh(&String::from_utf8_lossy(&script)).into_bytes(),
        Shell::Powershell => {}
    }
    script
}

/// Where an `id` is expected, ids are offered instead of files. The function stands first: zsh may
/// call what the script defines last while it reads it.
fn with_ids_in_zsh(script: &str) -> String {
    let mut with_ids = String::with_capacity(script.len() + ZSH.len());
    for line in script.lines() {
        if line == "_stepflow() {" {
            with_ids.push_str(ZSH);
        }
        let id = line.starts_with("':id -- ") || line.starts_with("'::id -- ");
        match line.strip_suffix(":_default' \\").filter(|_| id) {
            Some(start) => with_ids.push_str(&format!("{start}:_stepflow_ids' \\")),
            None => with_ids.push_str(line),
        }
        with_ids.push('\n');
    }
    with_ids
}

/// Newest first: they stay in the order in which they come.
const ZSH: &str = r#"(( $+functions[_stepflow_ids] )) ||
_stepflow_ids() {
    local -a ids
    ids=(${(f)"$(_call_program ids stepflow __ids ${(q)PREFIX} 2>/dev/null)"})
    compadd -V ids -a ids
}

"#;

const BASH: &str = r#"
_stepflow_with_ids() {
    _stepflow "$@"
    local word before=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [ "$before" = artifacts ] && word="artifacts $word"
        case "$word" in
            artifacts) before=$word ;;
            "artifacts ls"|"artifacts get"|logs|show|open|watch|cancel|rerun|attach|export)
                case "${COMP_WORDS[COMP_CWORD]}" in
                    -*) ;;
                    *) COMPREPLY+=($(stepflow __ids "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)) ;;
                esac
                return 0 ;;
            --) return 0 ;;
        esac
    done
    return 0
}
complete -F _stepflow_with_ids -o nosort -o bashdefault -o default stepflow 2>/dev/null ||
    complete -F _stepflow_with_ids -o bashdefault -o default stepflow
"#;

const FISH: &str = "
complete -c stepflow -n '__fish_seen_subcommand_from logs show open watch cancel rerun attach \
                    export' -f -a '(stepflow __ids (commandline -ct) 2>/dev/null)'
complete -c stepflow -n '__fish_seen_subcommand_from artifacts; and __fish_seen_subcommand_from ls \
                    get' -f -a '(stepflow __ids (commandline -ct) 2>/dev/null)'
";

/// Prints ids that begin so, newest first.
pub fn ids(source: &mut dyn Source, begin: &str) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    if "last".starts_with(begin) {
        writeln!(out, "last")?;
    }
    let list = source.list(&Query { limit: IDS, ..Query::default() })?;
    for id in list.executions.iter().map(|one| one.id.to_string()) {
        if id.starts_with(begin) {
            writeln!(out, "{id}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
pub fn man(dir: &Path) -> Result<ExitCode, Failure> {
    let cannot = |error: io::Error| {
        Failure::new(why::cannot_write(dir.display(), error)).hint(why::another_place())
    };
    fs::create_dir_all(dir).map_err(cannot)?;
    clap_mangen::generate_to(Args::command(), dir).map_err(cannot)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_zsh_asks_for_ids_wherever_one_is_expected() {
        let script = String::from_utf8(script(Shell::Zsh)).unwrap();
        let ids = script.lines().filter(|line| line.contains(":_stepflow_ids'")).count();
        // attach rerun open show logs watch cancel tests export, artifacts ls and get
        assert_eq!(ids, 11, "{script}");
        assert!(!script.lines().any(|line| line.contains("id -- ") && line.contains(":_default")));
        let defined = script.find("_stepflow_ids() {").unwrap();
        assert!(defined < script.find("\n_stepflow() {").unwrap());
    }
}
