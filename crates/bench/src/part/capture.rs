//! The output of one script, beside `cat FILE | cat > copy`.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::Run;
use crate::{
    BenchError,
    figure::{Figure, What},
};

/// The bar's own measure. It is over when all is in memory: the disk has not been asked yet.
const COPY: &str = "cat \"$1\" | cat > \"$2\"";
/// The same, over when all is on the disk, as an execution that has ended is.
const DURABLE_COPY: &str = "cat \"$1\" | cat > \"$2\" && sync \"$2\"";
/// A marker stands in front of so many lines; past the limit of steps of an execution it is looked at
/// all the same.
const LINES_A_STEP: u64 = 100;
const LINE: &[u8; 80] =
    b"the quick brown fox jumps over the lazy dog and runs away from the wolf 1234567\n";

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let (marked, plain) = (run.place.dir().join("marked"), run.place.dir().join("plain"));
    for (path, markers) in [(&marked, true), (&plain, false)] {
        write(path, run.sizes.megabytes, markers).map_err(BenchError::io("write a large file"))?;
        // From the page cache: it is not the disk that is read from which is measured.
        timed(Command::new("cat").arg(path))?;
    }
    let cases = [
        (What::CaptureQuiet, ["quiet", "interval"], &marked, COPY),
        (What::CaptureRaw, ["raw", "interval"], &marked, COPY),
        (What::CapturePlain, ["quiet", "interval"], &plain, COPY),
        (What::CaptureDurable, ["quiet", "interval"], &marked, DURABLE_COPY),
        (What::CaptureUnsynced, ["quiet", "never"], &plain, COPY),
    ];
    let size = Some(run.sizes.megabytes);
    let mut figures: Vec<Figure> =
        cases.iter().map(|(what, ..)| Figure::new(*what, size, vec![])).collect();
    for _ in 0..run.options.runs {
        for (figure, (_, [output, sync], file, other)) in figures.iter_mut().zip(cases) {
            run.check()?;
            settle();
            figure.limits.push(copy(run.place.dir(), file, other)?);
            figure.runs.push(capture(run, &["--output", output, "--log-sync", sync], file)?);
        }
    }
    let dialects = dialects(run, &plain)?;
    let speeds = figures[0].runs.iter().map(|seconds| run.sizes.megabytes as f64 / seconds);
    let speed = Figure::new(What::CaptureSpeed, size, speeds.collect());
    for figure in figures.into_iter().chain([dialects, speed]) {
        run.keep(figure);
    }
    let _ = (fs::remove_file(marked), fs::remove_file(plain));
    Ok(())
}

/// What it costs to look for every dialect and problem matcher in output that holds none: one after
/// the other, so that both meet the machine in the same state.
fn dialects(run: &Run<'_>, file: &Path) -> Result<Figure, BenchError> {
    let mut figure = Figure::new(What::CaptureDialects, Some(run.sizes.megabytes), vec![]);
    // Syncs would hide it behind the disk.
    let flags = ["--output", "quiet", "--log-sync", "never", "--dialect"];
    for _ in 0..run.options.runs {
        for (dialect, times) in [("none", &mut figure.limits), ("auto", &mut figure.runs)] {
            run.check()?;
            settle();
            times.push(capture(run, &[flags.as_slice(), &[dialect]].concat(), file)?);
        }
    }
    Ok(figure)
}

/// `stepflow run FLAGS -- cat FILE`, in seconds.
fn capture(run: &Run<'_>, flags: &[&str], file: &Path) -> Result<f64, BenchError> {
    let storage = run.place.storage("capture");
    // The first execution of a storage makes its catalog, which is not what is measured.
    timed(run.place.stepflow().arg("--storage").arg(&storage).args(["run", "--", "true"]))?;
    settle();
    let mut command = run.place.stepflow();
    command.arg("--storage").arg(&storage).arg("run").args(flags).args(["--", "cat"]);
    let took = timed(command.arg(file))?;
    let _ = fs::remove_dir_all(&storage);
    Ok(took)
}

pub(super) fn write(path: &Path, megabytes: u64, markers: bool) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    for number in 0..megabytes * 1_000_000 / LINE.len() as u64 {
        if markers && number.is_multiple_of(LINES_A_STEP) {
            let step = number / LINES_A_STEP;
            writeln!(file, "STEP_START:Part {}", step % 50)?;
        }
        file.write_all(LINE)?;
    }
    file.into_inner()?.sync_all()
}

/// What the pages of an earlier run still have to do is not to be done in the next one.
fn settle() {
    nix::unistd::sync();
}

/// What the output would cost without StepFlow, in seconds.
fn copy(dir: &Path, file: &Path, how: &str) -> Result<f64, BenchError> {
    let copy = dir.join("copy");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", how, "sh"]).arg(file).arg(&copy);
    let took = timed(&mut shell)?;
    let _ = fs::remove_file(copy);
    Ok(took)
}

/// Runs it to its end; seconds.
fn timed(command: &mut Command) -> Result<f64, BenchError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let output = command.output().map_err(BenchError::io("run a program"))?;
    if !output.status.success() {
        return Err(BenchError::Program {
            command: format!("{command:?}"),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(begun.elapsed().as_secs_f64())
}
