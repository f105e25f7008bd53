//! The banners of `npm run` and of pnpm up to version 10: a script a step.
//!
//! Source: `@npmcli/run-script`, `lib/run-script-pkg.js`.

use super::{
    Context, Dialect, Line, StepId, StepStatus, Stream, Taken, Watch, tree::Label, words::head,
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Npm::default())
}

/// Scripts are nested at most so deep.
const OPEN_MAX: usize = 100;

#[derive(Default)]
struct Npm {
    /// The first line of a banner, until the next line decides; by stream.
    banner: [Option<Banner>; 2],
    /// The scripts that are open, outermost first, each with the command that it runs.
    open: Vec<(StepId, String)>,
}

struct Banner {
    package: String,
    script: String,
    place: super::Place,
}

impl Dialect for Npm {
    fn watch(&self) -> Watch {
        Watch::none().begins(&["> "])
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        if line.stream() == Stream::Stderr || !line.follows_blank() {
            return Taken::No;
        }
        let Some((package, script)) = banner(line.visible()) else { return Taken::No };
        let (package, script) = (package.to_owned(), script.to_owned());
        *self.lane(cx) = Some(Banner { package, script, place: cx.place });
        Taken::Held
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let Some(banner) = self.lane(cx).take() else { return Taken::No };
        let command = line.and_then(|line| line.visible().strip_prefix("> "));
        match command.map(str::trim).filter(|command| !command.is_empty()) {
            Some(command) if self.start(&banner, command, cx) => {
                cx.consume(cx.place.stream);
                Taken::Yes
            }
            _ => {
                cx.release(cx.place.stream);
                Taken::No
            }
        }
    }
}

impl Npm {
    fn lane(&mut self, cx: &Context<'_>) -> &mut Option<Banner> {
        &mut self.banner[usize::from(cx.place.stream == Stream::Stderr)]
    }

    /// Nobody says when a script has ended: it has when another starts that it does not run.
    fn start(&mut self, banner: &Banner, command: &str, cx: &mut Context<'_>) -> bool {
        self.open.retain(|(step, _)| cx.is_open(*step));
        let here = std::mem::replace(&mut cx.place, banner.place);
        while let Some((step, _)) = self.open.pop_if(|(_, command)| !runs(command, &banner.script))
        {
            cx.end_by(step, StepStatus::Done, None, super::Cause::Next);
        }
        let params = vec![
            ("package".to_owned(), banner.package.clone()),
            ("command".to_owned(), command.to_owned()),
        ];
        let step = cx.start(Label::new("script", ""), &banner.script, params);
        cx.place = here;
        if let Some(step) = step {
            if self.open.len() == OPEN_MAX {
                self.open.remove(0);
            }
            self.open.push((step, head(command, crate::NAME_BYTES_MAX).to_owned()));
        }
        step.is_some()
    }
}

/// `> NAME@VERSION SCRIPT[ PATH]`: the package and the script.
fn banner(line: &str) -> Option<(&str, &str)> {
    let mut words = line.strip_prefix("> ")?.trim_end().split(' ');
    let (package, script) = (words.next()?, words.next()?);
    let at = package.rfind('@').filter(|at| *at > 0)?;
    let (name, version) = (&package[..at], &package[at + 1..]);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
    let named = name.strip_prefix('@').unwrap_or(name).chars().all(is_name);
    let versioned = version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.');
    // What follows is the path of the package: pnpm prints it, and so did older npm.
    let path = words.next();
    let is_path = path.is_none_or(|path| path.starts_with('/') || path.get(1..3) == Some(":\\"));
    (named && versioned && !script.is_empty() && is_path).then_some((package, script))
}

/// Programs that run scripts by their names.
const RUNNERS: [&str; 8] =
    ["npm", "pnpm", "yarn", "bun", "npm-run-all", "run-s", "run-p", "concurrently"];

/// Whether a command runs a script, or the one that this one goes before or after.
fn runs(command: &str, script: &str) -> bool {
    let between =
        |c: char| c.is_whitespace() || matches!(c, '&' | ';' | '|' | '(' | ')' | '"' | '\'');
    let mut words = command.split(between).skip_while(|word| {
        let program = word.rsplit('/').next().unwrap_or(word);
        !RUNNERS.contains(&program)
    });
    let around = script.strip_prefix("pre").or_else(|| script.strip_prefix("post"));
    words.any(|word| {
        let word = word.strip_prefix("npm:").unwrap_or(word);
        let is = |script: &str| match word.split_once('*') {
            Some((start, _)) => !start.is_empty() && script.starts_with(start),
            None => word == script,
        };
        is(script) || around.is_some_and(is)
    })
}
