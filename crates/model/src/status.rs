//! The words for where an execution or a step stands; one word per thing in code, SQL and JSON.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in SQL, JSON and flags.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words!(
    /// Where an execution stands. The last three are ends.
    Status {
        /// Accepted, not started.
        Pending = "pending",
        /// Its script runs, or is being stopped.
        Running = "running",
        /// Ended with exit code 0.
        Completed = "completed",
        /// Ended otherwise; [`Reason`] says why.
        Failed = "failed",
        /// Ended because somebody asked.
        Cancelled = "cancelled",
    }
);

impl Status {
    /// Whether this is an end: it never changes again.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

words!(
    /// By which way an execution came in.
    Source {
        /// `stepflow run`.
        Cli = "cli",
        /// `POST /api/executions`; a server that finds it unstarted may start it.
        Server = "server",
        /// `PUT /api/ingest`: a stream from elsewhere, which the server itself records.
        Ingest = "ingest",
        /// `stepflow pipe`: what is piped into a recorder.
        Pipe = "pipe",
        /// Taken over from the original StepFlow Monitor.
        Import = "import",
    }
);

impl Source {
    /// Whether its executions have a command of ours that can be run again: what was sent or piped
    /// in has none, and neither an exit code of its own nor a tree of processes; of what was taken
    /// over only the joined text is known.
    pub const fn has_command(self) -> bool {
        matches!(self, Self::Cli | Self::Server)
    }
}

words!(
    /// Why an execution failed or was cancelled.
    Reason {
        /// The script's exit code was not 0.
        ExitCode = "exit_code",
        /// A signal ended the script.
        Signal = "signal",
        /// A step failed and `stop_on_error` was set.
        StepError = "step_error",
        /// The time limit was reached.
        TimedOut = "timed_out",
        /// The program could not be started.
        StartFailed = "start_failed",
        /// Everything went away before the start.
        NotStarted = "not_started",
        /// The recorder died: nobody can know the script's end.
        RecorderLost = "recorder_lost",
        /// The host restarted underneath.
        HostRestarted = "host_restarted",
        /// The output limit was reached and the policy is to stop.
        OutputLimit = "output_limit",
        /// The disk was full and the policy is to stop.
        DiskFull = "disk_full",
        /// The disk failed and the policy is to stop.
        DiskFailed = "disk_failed",
        /// The source of an ingested stream went away.
        SourceLost = "source_lost",
        /// A user cancelled.
        User = "user",
        /// The foreground client, or its terminal, went away.
        ClientGone = "client_gone",
    }
);

words!(
    /// Where a step stands.
    StepStatus {
        /// Announced, not begun.
        Pending = "pending",
        /// Open.
        Running = "running",
        /// Ended well.
        Completed = "completed",
        /// Ended by `STEP_ERROR`, or open when the script failed.
        Failed = "failed",
        /// Not run on purpose.
        Skipped = "skipped",
        /// Open when the execution was cancelled.
        Cancelled = "cancelled",
    }
);

impl StepStatus {
    /// Whether the step has ended.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

words!(
    /// Which of the script's streams bytes came from. Merged output counts as `stdout`.
    Stream {
        /// Standard output, or both merged.
        Stdout = "stdout",
        /// Standard error, with `--split-stderr`.
        Stderr = "stderr",
    }
);
