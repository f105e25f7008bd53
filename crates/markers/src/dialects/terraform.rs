//! `terraform apply` and `destroy`, and those of `OpenTofu`: a resource a step, in parallel.
//!
//! Source: `hashicorp/terraform`, `internal/command/views/hook_ui.go` and
//! `internal/command/format/diagnostic.go`.

mod address; // resource addresses

use self::address::Address;
use super::{
    Annotation, Cause, Context, Dialect, Line, Place, Severity, StepStatus, Stream, Taken, Watch,
    tree::Label,
    watch::Needle,
    words::{digits, split_while},
};

/// Between the head of a diagnostic and its place stand at most so many blank lines.
const BLANKS_MAX: u32 = 2;

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Terraform { armed: hinted, ..Terraform::default() })
}

#[derive(Default)]
struct Terraform {
    armed: bool,
    /// Resources are being worked on: their lines begin with their addresses.
    busy: bool,
    /// The diagnostic that has begun, by stream.
    diagnostics: [Option<Diagnostic>; 2],
}

struct Diagnostic {
    severity: Severity,
    message: String,
    place: Place,
    /// It stands in a frame.
    framed: bool,
    blanks: u32,
    /// The resource that it is about.
    address: Option<String>,
}

const IDLE: [&str; 4] = [
    "Terraform used the selec",
    "Terraform will perform t",
    "OpenTofu used the select",
    "OpenTofu will perform th",
];
const ARMED: Watch = Watch::none()
    .begins(&[
        "Error: ",
        "Warning: ",
        "\u{2502} Error: ",
        "\u{2502} Warning: ",
        "Apply complete! Resource",
        "Destroy complete! Resour",
    ])
    .needle(Needle::Doing);

impl Dialect for Terraform {
    fn watch(&self) -> Watch {
        match self {
            Self { busy: true, .. } => Watch::all(),
            Self { armed: true, .. } => ARMED,
            _ => Watch::none().begins(&IDLE).needle(Needle::Doing),
        }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        let taken = match address::parse(text) {
            Some((address, rest)) => self.resource(&address, rest, cx),
            None => self.other(text, cx),
        };
        self.busy = cx.find_kind("resource").is_some();
        taken
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let Some(mut diagnostic) = self.lane(cx).take() else { return Taken::No };
        let text = line.map(|line| inside(line.visible(), diagnostic.framed));
        match text {
            Some("") if diagnostic.blanks < BLANKS_MAX => {
                diagnostic.blanks += 1;
                *self.lane(cx) = Some(diagnostic);
                cx.await_next();
            }
            // Without a frame the empty line is all there is to tell it from what others say.
            _ if !diagnostic.framed && diagnostic.blanks == 0 => cx.release(cx.place.stream),
            Some(text) => match resource(text) {
                Some(address) if diagnostic.address.is_none() => {
                    diagnostic.address = Some(address.to_owned());
                    *self.lane(cx) = Some(diagnostic);
                    cx.await_next();
                }
                _ => self.say(diagnostic, place(text), cx),
            },
            None => self.say(diagnostic, None, cx),
        }
        Taken::No
    }
}

impl Terraform {
    fn lane(&mut self, cx: &Context<'_>) -> &mut Option<Diagnostic> {
        &mut self.diagnostics[usize::from(cx.place.stream == Stream::Stderr)]
    }

    /// A line that begins with an address.
    fn resource(&mut self, address: &Address<'_>, rest: &str, cx: &mut Context<'_>) -> Taken {
        let label = Label::new("resource", address.text);
        let open = cx.find_label(label);
        let Some(said) = rest.strip_prefix(": ") else {
            // `ADDRESS (PROVISIONER): text`.
            let output = rest.strip_prefix(" (").and_then(|rest| rest.split_once("):"));
            return match (open, output) {
                (Some(step), Some((_, text))) => {
                    cx.log_on(Some(step), text.strip_prefix(' ').unwrap_or(text), None);
                    Taken::Yes
                }
                _ => Taken::No,
            };
        };
        if let Some(action) = begins(said) {
            // Only what is looked up is read; so is any file, by anybody.
            let reads = matches!(action, "reading" | "opening");
            let certain = address.is_typical && address.is_read == reads;
            if !certain && !self.armed {
                return Taken::No;
            }
            if let Some(step) = open {
                cx.end_by(step, StepStatus::Done, None, Cause::Next);
            }
            let params = vec![("action".to_owned(), action.to_owned())];
            if cx.start_loose(label, address.text, params, cx.innermost()).is_none() {
                return Taken::No;
            }
            self.armed = true;
            return Taken::Yes;
        }
        let Some(step) = open else { return Taken::No };
        if let Some(duration) = ends(said) {
            cx.end(step, StepStatus::Success, Some(duration));
            return Taken::Yes;
        }
        let goes_on = ["Still ", "Provisioning with ", "Refreshing state..."];
        if goes_on.iter().any(|start| said.starts_with(start)) { Taken::Yes } else { Taken::No }
    }

    fn other(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        if IDLE.iter().any(|start| text.starts_with(start)) {
            self.armed = true;
            return Taken::No;
        }
        if !self.armed {
            return Taken::No;
        }
        if let Some(counts) = result(text) {
            cx.meta("terraform.result", counts);
            return Taken::Yes;
        }
        let framed = text.starts_with('\u{2502}');
        let head = inside(text, framed);
        let (severity, message) =
            match (head.strip_prefix("Error: "), head.strip_prefix("Warning: ")) {
                (Some(message), _) => (Severity::Error, message),
                (_, Some(message)) => (Severity::Warning, message),
                _ => return Taken::No,
            };
        let message = message.trim_end().to_owned();
        let place = cx.place;
        *self.lane(cx) =
            Some(Diagnostic { severity, message, place, framed, blanks: 0, address: None });
        Taken::Held
    }

    fn say(
        &mut self,
        diagnostic: Diagnostic,
        place: Option<(String, Option<u32>)>,
        cx: &mut Context<'_>,
    ) {
        let label = |address: &String| Label::new("resource", address);
        let step = diagnostic.address.as_ref().and_then(|address| cx.find_label(label(address)));
        let (file, line) = place.unzip();
        let here = std::mem::replace(&mut cx.place, diagnostic.place);
        cx.consume(here.stream);
        cx.annotation(Annotation {
            severity: diagnostic.severity,
            message: diagnostic.message,
            step,
            file,
            line: line.flatten(),
            ..Annotation::default()
        });
        cx.place = here;
        if let Some(step) = step.filter(|_| diagnostic.severity == Severity::Error) {
            cx.end(step, StepStatus::Failure, None);
            self.busy = cx.find_kind("resource").is_some();
        }
    }
}

/// What is begun: `Creating...`, with the resource's id or nothing behind it.
fn begins(said: &str) -> Option<&'static str> {
    const ACTIONS: [(&str, &str); 5] = [
        ("Creating...", "creating"),
        ("Modifying...", "modifying"),
        ("Destroying...", "destroying"),
        ("Reading...", "reading"),
        ("Opening...", "opening"),
    ];
    ACTIONS.into_iter().find_map(|(text, action)| {
        let rest = said.strip_prefix(text)?.trim_end();
        (rest.is_empty() || (rest.starts_with(" [") && rest.ends_with(']'))).then_some(action)
    })
}

/// `Creation complete after 3s [id=...]`: how long it took.
fn ends(said: &str) -> Option<&str> {
    let (what, rest) = said.split_once(" complete after ")?;
    let known = ["Creation", "Modifications", "Destruction", "Read", "Opening"];
    known.contains(&what).then(|| rest.split_whitespace().next()).flatten()
}

/// `Apply complete! Resources: 1 added, 0 changed, 0 destroyed.`: the counts.
fn result(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("Apply").or_else(|| text.strip_prefix("Destroy"))?;
    let counts = rest.strip_prefix(" complete! Resources: ")?.trim_end();
    Some(counts.strip_suffix('.').unwrap_or(counts))
}

/// A line of a diagnostic without its frame.
fn inside(text: &str, framed: bool) -> &str {
    let text = text.trim_end();
    match text.strip_prefix('\u{2502}').filter(|_| framed) {
        Some(text) => text.strip_prefix(' ').unwrap_or(text),
        None => text,
    }
}

/// `  with ADDRESS,`
fn resource(text: &str) -> Option<&str> {
    let address = text.strip_prefix("  with ")?.strip_suffix(',')?;
    address::parse(address).filter(|(_, rest)| rest.is_empty()).map(|_| address)
}

/// `  on FILE line N, in ...:`
fn place(text: &str) -> Option<(String, Option<u32>)> {
    let (file, rest) = text.strip_prefix("  on ")?.split_once(" line ")?;
    let (number, _) = split_while(rest, |c| c.is_ascii_digit())?;
    Some((file.to_owned(), digits(number)))
}
