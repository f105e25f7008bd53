//! Control groups, version 2: every process of a tree in one place that the kernel keeps.
//!
//! A group is made below our own, where that was delegated to us: we may make directories there, and
//! the kernel can kill a group whole (`cgroup.kill`, Linux 5.14). No controller is switched on, so the
//! rule that a group with controllers holds no processes of its own never applies. The root of the
//! hierarchy belongs to the host and is left alone.

use std::{
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A place below our own group that somebody is still leaving is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// From the root of the hierarchy, as the kernel names it for us.
    name: String,
    dir: PathBuf,
}

/// Where the hierarchy is mounted, and which part of it is seen there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    root: String,
    point: PathBuf,
}

/// The first mounted version 2 hierarchy. Fields: `proc_pid_mountinfo(5)`.
fn mount_in(mountinfo: &str) -> Option<Mount> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        Some(Mount { root: plain(fields.next()?), point: PathBuf::from(plain(fields.next()?)) })
    })
}

/// Blank, tab, line end and backslash are octal there.
fn plain(field: &str) -> String {
    let octal = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    octal.iter().fold(field.to_owned(), |text, (code, is)| text.replace(code, is))
}

/// Our own group: the line with number 0.
fn own_in(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

fn mount() -> io::Result<Mount> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    mount_in(&mounts).ok_or_else(|| io::Error::other("no cgroup2 file system is mounted"))
}

impl Mount {
    /// The directory of the group with this name, if it is seen here.
    fn dir(&self, name: &str) -> Option<PathBuf> {
        let below = Path::new(name).strip_prefix(&self.root).ok()?;
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| self.point.join(below))
    }
}

impl Cgroup {
    /// The group that this process is in.
    ///
    /// # Errors
    /// There is no version 2 hierarchy, or our place in it is not seen here.
    pub fn own() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let name = own_in(&own).ok_or_else(|| io::Error::other("no cgroup of version 2"))?;
        let dir = mount()?.dir(name).ok_or_else(|| {
            io::Error::other(format!("the own cgroup `{name}` is not below the mounted one"))
        })?;
        Ok(Self { name: name.to_owned(), dir })
    }

    /// The group with the name that [`Cgroup::name`] gave, now or in another process.
    pub fn at(name: &str) -> io::Result<Self> {
        let dir = mount()?.dir(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { name: name.to_owned(), dir })
    }

    /// Its name from the root of the hierarchy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a group below this one, whose processes can be killed together.
    ///
    /// # Errors
    /// This group is the root of the hierarchy, or was not delegated to us, or the kernel is older
    /// than 5.14.
    pub fn make_child(&self, name: &str) -> io::Result<Self> {
        if !self.dir.join("cgroup.kill").exists() {
            let why = "it is the root of the hierarchy, or the kernel is older than 5.14";
            return Err(io::Error::other(format!("`{}`: {why}", self.name)));
        }
        let child = Self {
            name: format!("{}/{name}", self.name.trim_end_matches('/')),
            dir: self.dir.join(name),
        };
        fs::create_dir(&child.dir)?;
        Ok(child)
    }

    /// The file into which the pid of a process is written that shall be a member.
    pub fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.dir.join("cgroup.procs"))
    }

    /// The groups below it, deepest first, then itself.
    fn whole(&self) -> Vec<PathBuf> {
        let mut found = vec![self.dir.clone()];
        let mut at = 0;
        while at < found.len() {
            let entries = fs::read_dir(&found[at]).into_iter().flatten().flatten();
            let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let dirs: Vec<PathBuf> = dirs.map(|entry| entry.path()).collect();
            found.extend(dirs);
            at += 1;
        }
        found.reverse();
        found
    }

    /// The pids of its members, those of groups below it included.
    pub fn members(&self) -> Vec<i32> {
        let lists = self.whole().into_iter();
        let lists = lists.filter_map(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok());
        lists
            .flat_map(|list| list.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            // A process that this name space does not see.
            .filter(|pid| *pid > 0)
            .collect()
    }

    /// Whether `pid` is a member, or of a group below it.
    pub fn holds(&self, pid: i32) -> bool {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        // Path by components: `a-1` does not hold `a-10`.
        own_in(&text).is_some_and(|name| Path::new(name).starts_with(&self.name))
    }

    /// Whether a living process is in it or below it. A group that is gone holds none.
    pub fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.dir.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }

    /// Kills every process in it and below it at once; none can fork its way out.
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.kill"), "1")
    }

    /// How many of its processes the kernel killed for want of memory; `None`: it does not count
    /// them here (the memory controller is not switched on).
    pub fn oom_kills(&self) -> Option<u64> {
        oom_kills_in(&fs::read_to_string(self.dir.join("memory.events")).ok()?)
    }

    /// Removes it with the groups below it; fails while a process is in one of them.
    pub fn remove(&self) -> io::Result<()> {
        for dir in self.whole() {
            match fs::remove_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Kills what is in it until nothing is left, and removes it. Returns whether it is gone.
    pub fn end(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            if !self.dir.exists() {
                return true;
            }
            if self.is_populated() {
                let _ = self.kill(); // Gone meanwhile, or the next round tells.
            } else if self.remove().is_ok() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            // A killed process needs a moment to leave, and nothing of it can be waited for here.
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The names of the groups right below it.
    pub fn children(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The group of this name right below it.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self {
            name: format!("{}/{name}", self.name.trim_end_matches('/')),
            dir: self.dir.join(name),
        }
    }
}

fn oom_kills_in(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime shared:4 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_version_2_mount_and_the_own_group_are_found() {
        let mount = mount_in(HYBRID).unwrap();
        assert_eq!(mount.point, Path::new("/sys/fs/cgroup/uni fied"));
        assert_eq!(mount.dir("/a/b"), Some("/sys/fs/cgroup/uni fied/a/b".into()));
        assert_eq!(mount.dir("/"), Some("/sys/fs/cgroup/uni fied/".into()));
        assert_eq!(mount.dir("/../elsewhere"), None, "above what a container sees");
        assert_eq!(mount_in("1 2 0:3 / /sys rw - sysfs sysfs rw\n"), None);
        assert_eq!(own_in("9:name=systemd:/x\n0::/user.slice/a\n"), Some("/user.slice/a"));
        assert_eq!(own_in("4:memory:/\n"), None);
    }

    #[test]
    fn a_container_sees_only_the_part_that_is_mounted() {
        let mount = Mount { root: "/box".to_owned(), point: "/sys/fs/cgroup".into() };
        assert_eq!(mount.dir("/box/a"), Some("/sys/fs/cgroup/a".into()));
        assert_eq!(mount.dir("/boxer/a"), None);
    }

    #[test]
    fn memory_kills_are_read_where_they_are_counted() {
        assert_eq!(oom_kills_in("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kills_in(""), None);
    }
}
