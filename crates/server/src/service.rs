//! Whether the end of what a server runs in (a systemd unit, a container) is the end of the
//! executions too. Looked up in `/proc/PID/cgroup`; for a unit systemd is asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// systemd answers within this time, or is not waited for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Files that containers have.
const MARKERS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Beginnings of names of control groups that containers are in.
const CONTAINERS: [&str; 7] =
    ["docker", "libpod", "kubepods", "containerd", "cri-", "crio", "lxc.payload"];

/// What a server runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Nothing whose end would matter.
    None,
    /// A unit with this name.
    Unit {
        /// As systemd knows it.
        name: String,
        /// What its stop does to executions.
        stop: Stop,
    },
    /// A container: nothing in it outlives its first process.
    Container,
}

/// What the stop of a unit does to executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// They go on.
    Spares,
    /// They are killed.
    Kills,
    /// systemd did not say.
    Unknown,
}

/// Where to look: tests look elsewhere.
#[derive(Debug)]
struct Places {
    cgroup: PathBuf,
    markers: Vec<PathBuf>,
}

/// What the process `pid`, or this one, runs in. May take `ANSWERS_WITHIN`.
pub fn service(pid: Option<u32>) -> Service {
    let pid = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let places = Places {
        cgroup: Path::new("/proc").join(pid).join("cgroup"),
        markers: MARKERS.iter().map(PathBuf::from).collect(),
    };
    look(&places, kill_mode)
}

fn look(places: &Places, kill_mode: impl Fn(&Unit<'_>) -> Option<String>) -> Service {
    let groups = fs::read_to_string(&places.cgroup).unwrap_or_default();
    let container = places.markers.iter().any(|marker| marker.exists()) || in_container(&groups);
    let Some(unit) = unit(&groups) else {
        return if container { Service::Container } else { Service::None };
    };
    let stop = match kill_mode(&unit).as_deref() {
        Some("process" | "none") => Stop::Spares,
        Some("control-group" | "mixed") => Stop::Kills,
        _ => Stop::Unknown,
    };
    match stop {
        // The unit may be one of the host's, which the container cannot ask about.
        Stop::Unknown | Stop::Spares if container => Service::Container,
        stop => Service::Unit { name: unit.name.to_owned(), stop },
    }
}

/// A unit, as the path of a control group names it.
#[derive(Debug, PartialEq, Eq)]
struct Unit<'a> {
    name: &'a str,
    /// Of a user's own manager.
    of_user: bool,
}

/// The innermost unit that a stop of a service reaches. Source: `cgroups(7)`, lines
/// `ID:CONTROLLERS:PATH`.
fn unit(groups: &str) -> Option<Unit<'_>> {
    paths(groups).find_map(|path| {
        let mut of_user = false;
        let mut innermost = None;
        for part in path.split('/') {
            match part.rsplit_once('.') {
                // The manager; what it runs are units of their own.
                Some((name, "service")) if name.starts_with("user@") => of_user = true,
                Some((_, "service")) => innermost = Some(part),
                Some((_, "scope")) => innermost = None, // A session, or what was started from one.
                _ => {}
            }
        }
        innermost.map(|name| Unit { name, of_user })
    })
}

fn in_container(groups: &str) -> bool {
    let mut parts = paths(groups).flat_map(|path| path.split('/'));
    // `docker.service` is what starts containers: it is none.
    parts.any(|part| {
        CONTAINERS.iter().any(|begin| part.starts_with(begin)) && !part.ends_with(".service")
    })
}

fn paths(groups: &str) -> impl Iterator<Item = &str> {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

/// `KillMode=` of a unit; `None`: systemd is not there, or does not answer.
fn kill_mode(unit: &Unit<'_>) -> Option<String> {
    let mut command = Command::new("systemctl");
    if unit.of_user {
        command.arg("--user");
    }
    command.args(["show", "--property=KillMode", "--value", "--", unit.name]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let begun = Instant::now();
    while let Ok(None) = child.try_wait() {
        if ANSWERS_WITHIN < begun.elapsed() {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|mode| !mode.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(groups: &str, marker: bool, mode: Option<&str>) -> Service {
        let dir = tempfile::tempdir().unwrap();
        let places =
            Places { cgroup: dir.path().join("cgroup"), markers: vec![dir.path().join("mark")] };
        fs::write(&places.cgroup, groups).unwrap();
        if marker {
            fs::write(&places.markers[0], "").unwrap();
        }
        look(&places, |_| mode.map(str::to_owned))
    }

    #[test]
    fn a_unit_is_asked_what_its_stop_does() {
        let groups = "0::/system.slice/stepflow.service\n";
        for (mode, stop) in [
            (Some("process"), Stop::Spares),
            (Some("none"), Stop::Spares),
            (Some("control-group"), Stop::Kills),
            (Some("mixed"), Stop::Kills),
            (Some("something new"), Stop::Unknown),
            (None, Stop::Unknown),
        ] {
            let name = "stepflow.service".to_owned();
            assert_eq!(found(groups, false, mode), Service::Unit { name, stop }, "{mode:?}");
        }
    }

    #[test]
    fn the_innermost_unit_counts_and_a_session_is_none() {
        let unit = |name, of_user| Some(Unit { name, of_user });
        for (groups, expected) in [
            ("0::/system.slice/a.service\n", unit("a.service", false)),
            ("0::/system.slice/a.service/part\n", unit("a.service", false)),
            ("12:pids:/system.slice/a.service\n0::/\n", unit("a.service", false)),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/b.service\n",
                unit("b.service", true),
            ),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n", None),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
            ("0::/system.slice/docker-0123.scope\n", None),
            ("0::/\n", None),
            ("", None),
            ("no line of this kind", None),
        ] {
            assert_eq!(super::unit(groups), expected, "{groups}");
        }
    }

    #[test]
    fn a_container_is_known_by_its_files_or_its_control_group() {
        let container = Service::Container;
        assert_eq!(found("0::/\n", true, None), container);
        for group in [
            "0::/system.slice/docker-0123.scope",
            "1:pids:/docker/0123",
            "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123.scope",
            "0::/user.slice/user@1000.service/user.slice/libpod-0123.scope/container",
            "0::/lxc.payload.one",
        ] {
            assert_eq!(found(group, false, None), container, "{group}");
        }
        assert_eq!(found("0::/user.slice/session-3.scope", false, None), Service::None);
        // A unit within a container ends its executions first.
        let name = || "a.service".to_owned();
        let within = found("0::/system.slice/a.service", true, Some("control-group"));
        assert_eq!(within, Service::Unit { name: name(), stop: Stop::Kills });
        assert_eq!(found("0::/system.slice/a.service", true, Some("process")), container);
        assert_eq!(found("0::/system.slice/a.service", true, None), container);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let places = Places { cgroup: "/no/such/file".into(), markers: vec!["/no/such".into()] };
        assert_eq!(look(&places, |_| None), Service::None);
        // No systemd, or one that does not know it: not said.
        let unit = Unit { name: "no-such-unit-of-stepflow.service", of_user: false };
        assert_ne!(kill_mode(&unit).as_deref(), Some("process"));
    }
}
