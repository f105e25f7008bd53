//! A control group of the rig's own, as a service manager would delegate one.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

/// A delegated group, removed with everything in it at the end.
pub(crate) struct Group(PathBuf);

impl Group {
    /// Makes one below the root of the version 2 hierarchy; `Err`: why that cannot be here.
    pub(crate) fn make(name: &str) -> Result<Self, String> {
        Self::named(&format!("{name}-{}", std::process::id()))
    }

    /// The same, with the name of a unit.
    pub(crate) fn make_unit(name: &str) -> Result<Self, String> {
        Self::named(&format!("{name}-{}.service", std::process::id()))
    }

    fn named(name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        let mounted = mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            after.starts_with("cgroup2 ").then(|| before.split(' ').nth(4).map(PathBuf::from))?
        });
        let point = mounted.ok_or("no cgroup2 file system is mounted")?;
        let dir = point.join(name);
        fs::create_dir(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        let group = Self(dir);
        if group.0.join("cgroup.kill").exists() {
            Ok(group)
        } else {
            Err("the kernel has no cgroup.kill (5.14)".to_owned())
        }
    }

    /// The same command, started as a member.
    pub(crate) fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("/bin/sh");
        inside
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.0.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    /// Kills everything in it at once, as systemd does with `KillMode=control-group`.
    pub(crate) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// The groups of executions that are below it.
    pub(crate) fn below(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        for _ in 0..200 {
            for name in self.below() {
                let _ = fs::remove_dir(self.0.join(name));
            }
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
