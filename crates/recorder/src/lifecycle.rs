//! When "cancel" becomes "kill", and when an execution has ended: a pure state machine.
//!
//! Inputs in, effects out, time as an argument (microseconds of the recorder's monotonic clock).

use stepflow_model::Reason;

/// SIGKILL is repeated this often until nothing of the tree is left: a process may fork as it dies.
const KILL_AGAIN_US: u64 = 100_000;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants it stopped.
    Stop {
        /// Why.
        reason: Reason,
        /// A sentence for people.
        message: String,
        /// Skip the grace period.
        kill: bool,
    },
    /// The tree is to stand still (Ctrl-Z).
    Suspend,
    /// It is to go on.
    Resume,
    /// The script's first process ended.
    MainExited,
    /// No process of the tree is left.
    TreeEmpty,
    /// All ends of the script's output are closed, and everything was read.
    OutputEnded,
    /// Nobody of the tree holds the script's output, as far as can be seen.
    NobodyHolds,
    /// Time has passed.
    Tick,
}

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Record the wish durably, before any signal.
    RecordWish(Reason),
    /// Signal the whole tree.
    Signal(Sig),
    /// Signal those that still hold the script's output open, after its first process has ended.
    SignalHolders(Sig),
    /// The whole tree stands still.
    Suspend,
    /// The whole tree goes on.
    Resume,
    /// The execution has ended.
    Finish,
}

/// The two signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sig {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to stop; killed at this time.
    Stopping {
        kill_at: u64,
    },
    /// Being killed; again at this time.
    Killing {
        again_at: u64,
    },
    /// The first process ended by itself; others may hold the output until then.
    Draining {
        until: u64,
    },
    /// Those others are asked to go.
    Leftover {
        kill_at: u64,
    },
    /// Nothing of the tree is left, but a stranger may hold the output.
    Emptied {
        until: u64,
    },
    Finished,
}

/// One execution's way to its end.
#[derive(Debug)]
pub struct Lifecycle {
    phase: Phase,
    grace_us: u64,
    drain_us: u64,
    timeout_at: Option<u64>,
    /// Since when the tree stands still.
    suspended_at: Option<u64>,
    main_exited: bool,
    tree_empty: bool,
    output_ended: bool,
    stopped: Option<(Reason, String)>,
    leftover: bool,
    nobody_held: bool,
    /// Those who hold the output after the drain time are left alone.
    leave: bool,
}

impl Lifecycle {
    /// A script that runs since `now`.
    pub fn running(now: u64, grace_ms: u64, drain_ms: u64, timeout_ms: Option<u64>) -> Self {
        Self {
            phase: Phase::Running,
            grace_us: grace_ms.saturating_mul(1_000),
            drain_us: drain_ms.saturating_mul(1_000),
            timeout_at: timeout_ms.map(|ms| now.saturating_add(ms.saturating_mul(1_000))),
            suspended_at: None,
            main_exited: false,
            tree_empty: false,
            output_ended: false,
            stopped: None,
            leftover: false,
            nobody_held: false,
            leave: false,
        }
    }

    /// Those who hold the output after the drain time are left alone, and not waited for.
    #[must_use]
    pub fn leaving(self, leave: bool) -> Self {
        Self { leave, ..self }
    }

    /// Why we stopped it, if we did.
    pub fn stopped(&self) -> Option<&(Reason, String)> {
        self.stopped.as_ref()
    }

    /// Whether others held the output after the first process had ended, past the drain time.
    pub fn leftover(&self) -> bool {
        self.leftover
    }

    /// Whether nothing of the tree is left, as far as has been told.
    pub fn tree_empty(&self) -> bool {
        self.tree_empty
    }

    /// When to come back with [`Input::Tick`] at the latest.
    pub fn next_tick(&self) -> Option<u64> {
        if self.suspended_at.is_some() {
            return None;
        }
        match self.phase {
            Phase::Running => self.timeout_at,
            Phase::Stopping { kill_at } | Phase::Leftover { kill_at } => Some(kill_at),
            Phase::Killing { again_at } => Some(again_at),
            Phase::Draining { until } | Phase::Emptied { until } => Some(until),
            Phase::Finished => None,
        }
    }

    /// Takes `input`, seen at `now`, and says what must be done.
    #[must_use = "an effect that nobody carries out is a lost signal"]
    pub fn apply(&mut self, now: u64, input: Input) -> Vec<Effect> {
        match (self.suspended_at, input) {
            (None, Input::Suspend) if self.phase != Phase::Finished => {
                self.suspended_at = Some(now);
                vec![Effect::Suspend]
            }
            (Some(since), Input::Resume) => self.resume(now - since),
            (_, Input::Suspend | Input::Resume) | (Some(_), Input::Tick) => vec![],
            // A process that stands still takes no SIGTERM.
            (Some(since), input @ Input::Stop { .. }) => {
                let mut effects = self.resume(now - since);
                effects.extend(self.advance(now, input));
                effects
            }
            (_, input) => self.advance(now, input),
        }
    }

    /// Whatever was waited for comes so much later.
    fn resume(&mut self, stood_still: u64) -> Vec<Effect> {
        self.suspended_at = None;
        let later = |at: &mut u64| *at = at.saturating_add(stood_still);
        self.timeout_at.as_mut().map(later);
        match &mut self.phase {
            Phase::Stopping { kill_at: at }
            | Phase::Leftover { kill_at: at }
            | Phase::Killing { again_at: at }
            | Phase::Draining { until: at }
            | Phase::Emptied { until: at } => later(at),
            Phase::Running | Phase::Finished => {}
        }
        vec![Effect::Resume]
    }

    #[expect(clippy::match_same_arms, reason = "every pair of phase and input is written down")]
    fn advance(&mut self, now: u64, input: Input) -> Vec<Effect> {
        match &input {
            Input::MainExited => self.main_exited = true,
            Input::TreeEmpty => self.tree_empty = true,
            Input::OutputEnded => self.output_ended = true,
            Input::Stop { .. }
            | Input::NobodyHolds
            | Input::Tick
            | Input::Suspend
            | Input::Resume => {}
        }
        match (&self.phase, input) {
            (Phase::Finished, _) | (_, Input::Suspend | Input::Resume) => vec![],
            (Phase::Running, Input::Stop { reason, message, kill }) => {
                self.stop(now, reason, message, kill)
            }
            // Asked again: no more patience.
            (Phase::Stopping { .. }, Input::Stop { .. }) => self.kill(now),
            (Phase::Killing { .. } | Phase::Emptied { .. }, Input::Stop { .. }) => vec![],
            // The script ended first: its own result stands, but what is left goes now.
            (Phase::Draining { .. }, Input::Stop { .. }) => self.end_leftover(now),
            (Phase::Leftover { .. }, Input::Stop { .. }) => {
                self.phase = Phase::Leftover { kill_at: now + KILL_AGAIN_US };
                vec![Effect::SignalHolders(Sig::Kill)]
            }
            (Phase::Running, Input::MainExited | Input::OutputEnded | Input::TreeEmpty) => {
                if !self.main_exited {
                    return vec![];
                }
                self.phase = Phase::Draining { until: now.saturating_add(self.drain_us) };
                self.finish_if(self.output_ended)
            }
            (
                Phase::Draining { .. } | Phase::Leftover { .. } | Phase::Emptied { .. },
                Input::OutputEnded,
            ) => self.finish_if(true),
            (
                Phase::Stopping { .. } | Phase::Killing { .. },
                Input::MainExited | Input::OutputEnded | Input::TreeEmpty,
            ) => {
                // Cancelled means gone: the first process's end is not enough.
                if !(self.tree_empty && self.main_exited) {
                    return vec![];
                }
                self.phase = Phase::Emptied { until: now.saturating_add(self.drain_us) };
                self.finish_if(self.output_ended)
            }
            (
                Phase::Draining { .. } | Phase::Leftover { .. } | Phase::Emptied { .. },
                Input::MainExited | Input::TreeEmpty,
            ) => vec![],
            // Twice, so that what the last holder printed has been read: a stranger holds it.
            (Phase::Leftover { .. }, Input::NobodyHolds) => {
                let again = std::mem::replace(&mut self.nobody_held, true);
                self.finish_if(again)
            }
            (
                Phase::Running
                | Phase::Stopping { .. }
                | Phase::Killing { .. }
                | Phase::Draining { .. }
                | Phase::Emptied { .. },
                Input::NobodyHolds,
            ) => vec![],
            (Phase::Running, Input::Tick) => match self.timeout_at {
                Some(at) if at <= now => {
                    let message = "the time limit was reached".to_owned();
                    self.stop(now, Reason::TimedOut, message, false)
                }
                _ => vec![],
            },
            (Phase::Stopping { kill_at }, Input::Tick) if *kill_at <= now => self.kill(now),
            (Phase::Killing { again_at }, Input::Tick) if *again_at <= now => self.kill(now),
            (Phase::Draining { until }, Input::Tick) if *until <= now && self.leave => {
                self.leftover = true;
                self.finish_if(true)
            }
            (Phase::Draining { until }, Input::Tick) if *until <= now => self.end_leftover(now),
            (Phase::Leftover { kill_at }, Input::Tick) if *kill_at <= now => {
                self.phase = Phase::Leftover { kill_at: now + KILL_AGAIN_US };
                if self.tree_empty {
                    return self.finish_if(true); // A stranger holds the output: do not wait for ever.
                }
                vec![Effect::SignalHolders(Sig::Kill)]
            }
            (Phase::Emptied { until }, Input::Tick) if *until <= now => self.finish_if(true),
            (
                Phase::Stopping { .. }
                | Phase::Killing { .. }
                | Phase::Draining { .. }
                | Phase::Leftover { .. }
                | Phase::Emptied { .. },
                Input::Tick,
            ) => vec![],
        }
    }

    fn stop(&mut self, now: u64, reason: Reason, message: String, kill: bool) -> Vec<Effect> {
        self.stopped = Some((reason, message));
        let wish = Effect::RecordWish(reason);
        if kill || self.grace_us == 0 {
            self.phase = Phase::Killing { again_at: now + KILL_AGAIN_US };
            return vec![wish, Effect::Signal(Sig::Kill)];
        }
        self.phase = Phase::Stopping { kill_at: now.saturating_add(self.grace_us) };
        vec![wish, Effect::Signal(Sig::Term)]
    }

    fn kill(&mut self, now: u64) -> Vec<Effect> {
        self.phase = Phase::Killing { again_at: now + KILL_AGAIN_US };
        vec![Effect::Signal(Sig::Kill)]
    }

    fn end_leftover(&mut self, now: u64) -> Vec<Effect> {
        self.leftover = true;
        self.phase = Phase::Leftover { kill_at: now.saturating_add(self.grace_us) };
        if self.tree_empty {
            // Nothing of ours holds the output: a stranger does.
            return self.finish_if(true);
        }
        vec![Effect::SignalHolders(Sig::Term)]
    }

    fn finish_if(&mut self, ended: bool) -> Vec<Effect> {
        if !ended {
            return vec![];
        }
        self.phase = Phase::Finished;
        vec![Effect::Finish]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn running() -> Lifecycle {
        Lifecycle::running(0, 10_000, 5_000, None)
    }

    fn cancel() -> Input {
        Input::Stop { reason: Reason::User, message: "asked".to_owned(), kill: false }
    }

    #[test]
    fn a_script_that_ends_by_itself_finishes_when_its_output_has_ended() {
        let mut life = running();
        assert_eq!(life.apply(S, Input::MainExited), []);
        assert_eq!(life.apply(S, Input::OutputEnded), [Effect::Finish]);
        assert_eq!(life.apply(S, cancel()), [], "the end is final");
        assert_eq!(life.stopped(), None);
    }

    #[test]
    fn output_may_end_long_before_the_script() {
        let mut life = running();
        assert_eq!(life.apply(S, Input::OutputEnded), []);
        assert_eq!(life.apply(90 * S, Input::MainExited), [Effect::Finish]);
    }

    #[test]
    fn a_script_that_ignores_sigterm_is_killed_after_the_grace_period_until_nothing_is_left() {
        let mut life = running();
        assert_eq!(
            life.apply(10 * S, cancel()),
            [Effect::RecordWish(Reason::User), Effect::Signal(Sig::Term)]
        );
        assert_eq!(life.next_tick(), Some(20 * S));
        assert_eq!(life.apply(19 * S, Input::Tick), []);
        assert_eq!(life.apply(20 * S, Input::Tick), [Effect::Signal(Sig::Kill)]);
        assert_eq!(life.apply(20 * S + KILL_AGAIN_US, Input::Tick), [Effect::Signal(Sig::Kill)]);
        assert_eq!(life.apply(21 * S, Input::MainExited), [], "its children may live");
        assert_eq!(life.apply(21 * S, Input::OutputEnded), []);
        assert_eq!(life.apply(22 * S, Input::TreeEmpty), [Effect::Finish]);
    }

    #[test]
    fn a_second_cancel_skips_the_wait() {
        let mut life = running();
        let _ = life.apply(0, cancel());
        assert_eq!(life.apply(1, cancel()), [Effect::Signal(Sig::Kill)]);
    }

    #[test]
    fn who_holds_the_pipe_after_the_end_is_drained_then_ended_and_the_result_stands() {
        let mut life = running();
        assert_eq!(life.apply(0, Input::MainExited), []);
        assert_eq!(life.apply(5 * S, Input::Tick), [Effect::SignalHolders(Sig::Term)]);
        assert_eq!(life.apply(15 * S, Input::Tick), [Effect::SignalHolders(Sig::Kill)]);
        assert_eq!(life.apply(15 * S, Input::OutputEnded), [Effect::Finish]);
        assert!(life.leftover());
        assert_eq!(life.stopped(), None);
    }

    #[test]
    fn who_holds_the_pipe_may_be_left_alone_and_is_not_waited_for() {
        let mut life = running().leaving(true);
        assert_eq!(life.apply(0, Input::MainExited), []);
        assert_eq!(life.apply(4 * S, Input::Tick), []);
        assert_eq!(life.apply(5 * S, Input::Tick), [Effect::Finish]);
        assert!(life.leftover());
        // Somebody who asks for a stop means everything.
        let mut life = running().leaving(true);
        let _ = life.apply(0, Input::MainExited);
        assert_eq!(life.apply(1, cancel()), [Effect::SignalHolders(Sig::Term)]);
    }

    #[test]
    fn output_that_nobody_of_the_tree_holds_is_not_waited_for() {
        let mut life = running();
        let _ = life.apply(0, Input::MainExited);
        assert_eq!(life.apply(5 * S, Input::Tick), [Effect::SignalHolders(Sig::Term)]);
        assert_eq!(life.apply(5 * S, Input::NobodyHolds), [], "it may just have gone");
        assert_eq!(life.apply(15 * S, Input::Tick), [Effect::SignalHolders(Sig::Kill)]);
        assert_eq!(life.apply(15 * S, Input::NobodyHolds), [Effect::Finish]);
        let mut life = running();
        assert_eq!(life.apply(0, Input::NobodyHolds), []);
        assert_eq!(life.apply(0, Input::NobodyHolds), [], "the script runs");
    }

    #[test]
    fn a_stranger_who_holds_the_pipe_is_not_waited_for() {
        let mut life = running();
        let _ = life.apply(0, Input::MainExited);
        let _ = life.apply(0, Input::TreeEmpty);
        assert_eq!(life.apply(5 * S, Input::Tick), [Effect::Finish]);
        let mut life = running();
        let _ = life.apply(0, cancel());
        let _ = life.apply(0, Input::MainExited);
        assert_eq!(life.apply(0, Input::TreeEmpty), []);
        assert_eq!(life.apply(5 * S, Input::Tick), [Effect::Finish]);
    }

    #[test]
    fn the_time_limit_is_a_cancel_with_its_own_reason() {
        let mut life = Lifecycle::running(S, 0, 5_000, Some(3_000));
        assert_eq!(life.apply(3 * S, Input::Tick), []);
        assert_eq!(
            life.apply(4 * S, Input::Tick),
            [Effect::RecordWish(Reason::TimedOut), Effect::Signal(Sig::Kill)]
        );
        assert_eq!(life.stopped().map(|s| s.0), Some(Reason::TimedOut));
    }

    #[test]
    fn what_stands_still_loses_no_time() {
        let mut life = Lifecycle::running(0, 10_000, 5_000, Some(60_000));
        assert_eq!(life.apply(50 * S, Input::Suspend), [Effect::Suspend]);
        assert_eq!(life.apply(51 * S, Input::Suspend), []);
        assert_eq!(life.next_tick(), None);
        assert_eq!(life.apply(90 * S, Input::Tick), [], "the time limit stands still as well");
        assert_eq!(life.apply(100 * S, Input::Resume), [Effect::Resume]);
        assert_eq!(life.apply(100 * S, Input::Resume), []);
        assert_eq!(life.next_tick(), Some(110 * S));
        let _ = life.apply(105 * S, cancel());
        assert_eq!(life.apply(106 * S, Input::Suspend), [Effect::Suspend]);
        assert_eq!(life.apply(206 * S, Input::Resume), [Effect::Resume]);
        assert_eq!(life.next_tick(), Some(215 * S), "the grace period too");
    }

    #[test]
    fn a_script_that_stands_still_is_woken_to_be_stopped() {
        let mut life = running();
        let _ = life.apply(0, Input::Suspend);
        assert_eq!(
            life.apply(S, cancel()),
            [Effect::Resume, Effect::RecordWish(Reason::User), Effect::Signal(Sig::Term)]
        );
        assert_eq!(life.next_tick(), Some(11 * S));
        let _ = life.apply(12 * S, Input::MainExited);
        let _ = life.apply(12 * S, Input::TreeEmpty);
        assert_eq!(life.apply(12 * S, Input::OutputEnded), [Effect::Finish]);
        assert_eq!(life.apply(13 * S, Input::Suspend), [], "the end is final");
    }

    #[test]
    fn a_cancel_after_the_script_ended_changes_nothing_but_the_leftovers() {
        let mut life = running();
        let _ = life.apply(0, Input::MainExited);
        assert_eq!(life.apply(1, cancel()), [Effect::SignalHolders(Sig::Term)]);
        assert_eq!(life.stopped(), None);
    }
}
