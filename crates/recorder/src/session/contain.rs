//! The control group of the tree: made before the script, asked before the end, removed after it.

use std::time::Duration;

use stepflow_model::{Containment, EventKind, ExecutionId};
use stepflow_sys::cgroup::Cgroup;

use super::Session;
use crate::lifecycle::Input;

/// A group whose last processes are dying is looked at again after this time.
const LOOK_US: u64 = 20_000;
/// What was killed leaves its group within this time.
const LEFT_WITHIN: Duration = Duration::from_millis(200);

/// A group for the script of `id` below our own; `None`: it is not wanted, or not to be had.
///
/// # Errors
/// It was demanded, and this is why it cannot be.
pub(super) fn make_group(wanted: Containment, id: ExecutionId) -> Result<Option<Cgroup>, String> {
    if wanted == Containment::Keeper {
        return Ok(None);
    }
    let made = Cgroup::own().and_then(|own| own.make_child(&stepflow_record::group_name(id)));
    match made {
        Ok(group) => Ok(Some(group)),
        Err(_) if wanted == Containment::Auto => Ok(None),
        Err(error) => Err(format!(
            "containment `cgroup` cannot be had here: {error}; use `auto`, or have the service \
             manager delegate a cgroup (Delegate=yes)"
        )),
    }
}

impl Session {
    /// Recorder and keeper have no child left. The tree is empty when its group says so, too.
    pub(super) fn tree_emptied(&mut self) {
        if self.group.as_ref().is_some_and(Cgroup::is_populated) {
            self.emptied_at = Some(self.now() + LOOK_US);
            return;
        }
        self.emptied_at = None;
        self.input(Input::TreeEmpty);
    }

    /// Tells whether the kernel killed a process of the tree for want of memory.
    pub(super) fn tell_of_memory(&mut self) {
        let Some(kills @ 1..) = self.group.as_ref().and_then(Cgroup::oom_kills) else { return };
        self.recording.emit(EventKind::Warning {
            code: "oom_kill".to_owned(),
            message: format!("the kernel killed {kills} of its processes: out of memory"),
        });
    }

    /// Removes the group. One that holds a daemon, which was left alone, stays until a server finds
    /// it empty.
    pub(super) fn leave_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        let deadline = std::time::Instant::now() + LEFT_WITHIN;
        let tree_empty = self.life.tree_empty();
        while group.remove().is_err() && tree_empty && std::time::Instant::now() < deadline {
            // Reaped a moment ago: the kernel lets go of the group when it has done with them.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
