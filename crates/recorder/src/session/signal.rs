//! Signals to the tree, and to those who hold the script's output.

use nix::sys::signal::Signal;
use stepflow_model::EventKind;
use stepflow_sys::{keeper, tree};

use super::Session;
use crate::lifecycle::{Input, Sig};

/// A tree that forks faster than this many looks can stop it goes on in part.
const SUSPEND_LOOKS: usize = 8;

impl Session {
    pub(super) fn root(&self) -> i32 {
        if self.keeper_gone { keeper::this_pid() } else { self.keeper.pid }
    }

    pub(super) fn signal_tree(&mut self, signal: i32) {
        let mut processes = 0;
        for process in tree::members(self.root(), self.group.as_ref()) {
            processes += u32::from(tree::signal_if_unchanged(&process, signal));
        }
        if signal == Signal::SIGKILL as i32
            && let Some(group) = &self.group
        {
            let _ = group.kill(); // None can fork its way out. Gone already: nothing to kill.
        }
        if processes > 0 {
            self.recording.emit(EventKind::SignalSent { signal, processes });
        }
    }

    /// Stops every process of the tree, those that are forked meanwhile as well.
    pub(super) fn suspend_tree(&mut self) {
        for _ in 0..SUSPEND_LOOKS {
            self.signal_tree(Signal::SIGSTOP as i32);
            let stands = |process: &tree::ProcessInfo| matches!(process.state, 'T' | 't');
            if tree::members(self.root(), self.group.as_ref()).iter().all(stands) {
                break;
            }
        }
    }

    /// Signals what holds the script's output; a daemon that holds none of it is left alone.
    pub(super) fn signal_holders(&mut self, signal: i32) {
        let mut hit = 0;
        let script = self.keeper.script_pid;
        for process in tree::members(self.root(), self.group.as_ref()) {
            let mut open = self.sources.iter().filter(|source| !source.ended);
            let holds = open.any(|source| source.is_held_by(process.pid, script));
            if holds && tree::signal_if_unchanged(&process, signal) {
                hit += 1;
                let name = format!("{} ({})", process.name, process.pid);
                if !self.leftover.contains(&name) {
                    self.leftover.push(name);
                }
            }
        }
        if hit > 0 {
            self.recording.emit(EventKind::SignalSent { signal, processes: hit });
        } else if !self.recording.is_blocked() {
            self.input(Input::NobodyHolds);
        }
    }
}

pub(super) fn number(sig: Sig) -> i32 {
    match sig {
        Sig::Term => Signal::SIGTERM as i32,
        Sig::Kill => Signal::SIGKILL as i32,
    }
}
