//! The severity prefixes of services.
//!
//! Source: `systemd/systemd`, `man/sd-daemon.xml`.

use super::{Context, Dialect, Level, Line, Taken, Watch};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(SdDaemon { hinted })
}

struct SdDaemon {
    hinted: bool,
}

impl Dialect for SdDaemon {
    fn watch(&self) -> Watch {
        if self.hinted { Watch::none().begins(&["<"]) } else { Watch::none() }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let Some((digit, text)) =
            line.visible().strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            return Taken::No;
        };
        let level = match digit {
            "0" | "1" | "2" | "3" => Level::Error,
            "4" => Level::Warning,
            "5" => Level::Notice,
            "6" => Level::Info,
            "7" => Level::Debug,
            _ => return Taken::No,
        };
        cx.log_as(level, text.strip_prefix(' ').unwrap_or(text));
        Taken::Yes
    }
}
