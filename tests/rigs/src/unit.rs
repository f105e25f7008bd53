//! The unit that is shipped, under a real systemd: restart, reload, a crash, with executions running.
//!
//! systemd runs as the first process of name spaces of its own, with a control group of its own for a
//! root; this program, as a unit beside the server's, asks and looks.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use stepflow_client::Server;
use stepflow_model::ExecutionId;
use stepflow_record::{RecordView, Storage};
use stepflow_testkit::eventually;

use crate::{Options, Outcome, group::Group};

/// First argument of this program inside.
pub(crate) const INSIDE: &str = "unit-inside";
const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// Where the shipped unit keeps its storage.
const STORAGE: &str = "/var/lib/stepflow";

const BOOT: &str = "set -e
mount --make-rprivate /
mount -t tmpfs none /run
umount -l /sys/fs/cgroup || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /var/lib
mount -t tmpfs none /etc/systemd/system
cp -r \"$0\"/. /etc/systemd/system/
export container=other
exec /usr/lib/systemd/systemd --system --log-level=warning --log-target=console --show-status=no --unit=rig.target
";

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    if !Path::new(SYSTEMD).exists() {
        return Ok(Outcome::NotRun(format!("no {SYSTEMD}")));
    }
    let group = match Group::make("stepflow-unit") {
        Ok(group) => group,
        Err(why) => return Ok(Outcome::NotRun(why)),
    };
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let said = dir.path().join("said");
    units(dir.path(), &options.program, &said).map_err(|error| error.to_string())?;
    let mut boot = Command::new("timeout");
    boot.args([
        "-k",
        "5",
        "90",
        "unshare",
        "--cgroup",
        "--pid",
        "--fork",
        "--mount",
        "--mount-proc",
    ]);
    boot.args(["--ipc", "--uts", "sh", "-c", BOOT]).arg(dir.path().join("units"));
    let output = group.inside(&boot).output().map_err(|error| error.to_string())?;
    match fs::read_to_string(&said) {
        Ok(text) if text.starts_with("HELD ") => Ok(Outcome::Held(text[5..].to_owned())),
        Ok(text) => Err(text),
        Err(_) => Ok(Outcome::NotRun(format!(
            "systemd does not come up in name spaces here: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// The unit as it is shipped, less its user and with the program under test; and this program.
fn units(dir: &Path, program: &str, said: &Path) -> std::io::Result<()> {
    let units = dir.join("units");
    let over = units.join("stepflow.service.d");
    fs::create_dir_all(&over)?;
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    fs::copy(packaging.join("stepflow.service"), units.join("stepflow.service"))?;
    fs::write(
        over.join("rig.conf"),
        format!(
            "[Unit]\nDefaultDependencies=no\n[Service]\nUser=\nGroup=\nExecStart=\n\
             ExecStart={program} --storage ${{STATE_DIRECTORY}} serve --takeover --listen 127.0.0.1:0 --auth off\n"
        ),
    )?;
    let me = std::env::current_exe()?;
    fs::write(
        units.join("rig.service"),
        format!(
            "[Unit]\nDefaultDependencies=no\nAfter=stepflow.service\n[Service]\nType=simple\n\
             ExecStart={} {INSIDE} {} {program}\nExecStopPost=/bin/systemctl --no-block exit\n",
            me.display(),
            said.display()
        ),
    )?;
    fs::write(
        units.join("rig.target"),
        "[Unit]\nDefaultDependencies=no\nWants=stepflow.service rig.service\n",
    )
}

/// Beside the server's unit.
pub(crate) fn inside(args: &[String]) -> ExitCode {
    let [said, program] = args else { return ExitCode::from(2) };
    let found = std::panic::catch_unwind(|| look(program)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "it panicked".to_owned()))
    });
    let text = match found {
        Ok(figures) => format!("HELD {figures}"),
        Err(why) => why,
    };
    let _ = fs::write(said, text);
    ExitCode::SUCCESS
}

fn systemctl(args: &[&str]) -> Result<String, String> {
    let output = Command::new("systemctl").args(args).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("systemctl {args:?}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

fn main_pid() -> Result<i32, String> {
    let pid = systemctl(&["show", "--property=MainPID", "--value", "stepflow.service"])?;
    pid.parse().map_err(|_| format!("MainPID `{pid}`"))
}

/// What `stepflow doctor` says of the unit, whose `KillMode=` systemd knows.
fn says(program: &str, wanted: &str) -> Result<(), String> {
    let output = Command::new(program)
        .args(["--storage", STORAGE, "doctor"])
        .env_remove("LC_ALL")
        .env("LANG", "C.UTF-8")
        .output()
        .map_err(|error| format!("doctor: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains(wanted) {
        return Ok(());
    }
    let line = text.lines().find(|line| line.contains("service")).unwrap_or(&text);
    Err(format!("doctor does not say \"{wanted}\": {line}"))
}

fn look(program: &str) -> Result<String, String> {
    let socket = Server::at(Path::new(STORAGE).join("run/server.sock"));
    let active = || socket.get("/api/executions/active").ok();
    eventually("the unit serves", active);
    // In a container it is none of systemd's to say.
    let boxed = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    if !boxed {
        says(program, "stepflow.service: executions outlive it")?;
    }
    let script = "until test -e /run/go; do sleep 0.05; done; exit 3";
    let body = serde_json::json!({"command": ["sh", "-c", script]});
    let mut ids: Vec<ExecutionId> = Vec::new();
    for _ in 0..3 {
        let made = socket.post("/api/executions", &body).map_err(|error| error.to_string())?;
        let id = made["id"].as_str().and_then(|id| id.parse().ok());
        ids.push(id.ok_or_else(|| format!("no id: {made}"))?);
    }
    let storage = Storage::open(Path::new(STORAGE)).map_err(|error| error.to_string())?;
    let state = |id: ExecutionId| RecordView::open(&storage, id).map(|view| view.state.summary);
    for id in &ids {
        let how = eventually("it starts", || {
            state(*id).ok().map(|summary| summary.containment).filter(|how| !how.is_empty())
        });
        if how != "cgroup" {
            return Err(format!("with Delegate=yes it is contained by `{how}`"));
        }
    }
    let all_run = |after: &str| {
        eventually("the executions are found again, or have ended", || {
            for id in &ids {
                let summary = state(*id).ok()?;
                if summary.status.is_end() {
                    let (status, reason) = (summary.status, summary.reason);
                    return Some(Err(format!("after {after}: {status:?} {reason:?}")));
                }
            }
            let text = active()?.to_string();
            ids.iter().all(|id| text.contains(&id.to_string())).then_some(Ok(()))
        })
    };
    let mut before = main_pid()?;
    for what in ["restart", "reload", "crash"] {
        if what == "crash" {
            stepflow_testkit::kill(before);
        } else {
            systemctl(&[what, "stepflow.service"])?;
        }
        before = eventually(&format!("another process serves after {what}"), || {
            let now = main_pid().ok()?;
            let up = systemctl(&["is-active", "stepflow.service"]).is_ok();
            (now != before && now > 0 && up).then_some(now)
        });
        all_run(what)?;
    }
    fs::write("/run/go", "").map_err(|error| error.to_string())?;
    for id in &ids {
        let code = eventually("it ends", || state(*id).ok()?.exit_code);
        if code != 3 {
            return Err(format!("exit code {code}"));
        }
    }
    fs::write("/etc/systemd/system/stepflow.service.d/whole.conf", "[Service]\nKillMode=mixed\n")
        .map_err(|error| error.to_string())?;
    systemctl(&["daemon-reload"])?;
    says(program, "stepflow.service: its stop kills executions")?;
    systemctl(&["stop", "stepflow.service"])?;
    let version = systemctl(&["--version"])?;
    let version = version.lines().next().unwrap_or_default();
    Ok(format!(
        "{version}: restart, reload (--takeover) and a crash under 3 executions, none ended by it; doctor \
         said so, and that it is otherwise with another KillMode"
    ))
}
