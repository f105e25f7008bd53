//! Shows a page in a browser, where there is one.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
};

/// Asks `$BROWSER`, or the desktop, to show `url`; `false`: there is nobody to ask.
pub fn show(url: &str) -> bool {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let Some(words) = command(&set, url) else { return false };
    let Some((program, args)) = words.split_first() else { return false };
    let mut browser = Command::new(program);
    // A group of its own: what ends us, or this window, is none of its business.
    browser.args(args).process_group(0);
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = browser.spawn() else { return false };
    thread::spawn(move || child.wait());
    true
}

/// The first of `$BROWSER`, which are separated by colons and may have `%s` for the address; else
/// the desktop's own, if there is a desktop.
fn command(set: &dyn Fn(&str) -> Option<OsString>, url: &str) -> Option<Vec<String>> {
    let named = set("BROWSER").and_then(|value| value.into_string().ok());
    if let Some(first) = named.as_deref().and_then(|named| named.split(':').next()) {
        let mut words: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
        if !words.is_empty() {
            if !words.iter().any(|word| word.contains("%s")) {
                words.push("%s".to_owned());
            }
            return Some(words.iter().map(|word| word.replace("%s", url)).collect());
        }
    }
    set("WAYLAND_DISPLAY").or_else(|| set("DISPLAY"))?;
    Some(vec!["xdg-open".to_owned(), url.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k2_a_page_is_shown_by_whom_the_environment_names() {
        let asked = |pairs: &[(&str, &str)]| {
            let set = |name: &str| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            command(&set, "http://h/e#L1").map(|words| words.join("|"))
        };
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("DISPLAY", ":0")]).unwrap(), "xdg-open|http://h/e#L1");
        assert_eq!(asked(&[("BROWSER", "firefox:lynx")]).unwrap(), "firefox|http://h/e#L1");
        let with_place = [("BROWSER", "open --url=%s -n"), ("DISPLAY", ":0")];
        assert_eq!(asked(&with_place).unwrap(), "open|--url=http://h/e#L1|-n");
    }
}
