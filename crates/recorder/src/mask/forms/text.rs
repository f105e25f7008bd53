//! Encodings that put something else in the place of single bytes.

use std::io::Write as _;

/// What is put in the place of a byte or character; `false`: it stays.
type Put<'a> = &'a dyn Fn(u8, &mut Vec<u8>) -> bool;
type PutChar<'a> = &'a dyn Fn(char, &mut Vec<u8>) -> bool;

/// URL, JSON, XML and shell forms of `value`.
pub(super) fn forms(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    url(value, forms);
    json(value, forms);
    xml(value, forms);
    shell(value, forms);
}

/// As a terminal shows it.
pub(super) fn with_returns(value: &[u8]) -> Vec<u8> {
    each(value, &|byte, out| put(byte, out, &[(b'\n', b"\r\n")]))
}

fn each(value: &[u8], replace: Put<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        if !replace(*byte, &mut out) {
            out.push(*byte);
        }
    }
    out
}

fn put(byte: u8, out: &mut Vec<u8>, table: &[(u8, &[u8])]) -> bool {
    let found = table.iter().find(|(from, _)| *from == byte);
    if let Some((_, to)) = found {
        out.extend_from_slice(to);
    }
    found.is_some()
}

/// Printed into a vector: that cannot fail.
macro_rules! print {
    ($out:expr, $($said:tt)*) => {{
        let _ = write!($out, $($said)*);
        true
    }};
}

/// Who keeps which characters besides letters and digits, and what becomes of a space.
const URL_DIALECTS: [(&[u8], bool); 8] = [
    (b"-._~", false),                 // RFC 3986; curl
    (b"-._~/", false),                // Python's quote
    (b"-_.!~*'()", false),            // JavaScript's encodeURIComponent
    (b"-_.!~*'();/?:@&=+$,#", false), // its encodeURI
    (b"-._~!$&'()*+,;=:@", false),    // a path's segment as RFC 3986 lets it be
    (b"-._~", true),                  // Python's quote_plus, Go
    (b"-_.", true),                   // PHP
    (b"*-._", true),                  // forms as browsers send them, Java
];

fn url(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    for (kept, plus) in URL_DIALECTS {
        for upper in [true, false] {
            forms.push(each(value, &|byte, out| match byte {
                b' ' if plus => print!(out, "+"),
                _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => false,
                _ if upper => print!(out, "%{byte:02X}"),
                _ => print!(out, "%{byte:02x}"),
            }));
        }
    }
}

fn json(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    let Ok(text) = std::str::from_utf8(value) else {
        // No text: what JSON there is of it has at least the quotes that every other has.
        return forms.push(each(value, &|byte, out| put(byte, out, &JSON_SHORT)));
    };
    let dialects: [PutChar<'_>; 8] = [
        // As little as possible.
        &|c, out| json_short(c, out) || json_control(c, out, false),
        &|c, out| json_short(c, out) || json_control(c, out, true),
        // jq.
        &|c, out| {
            json_short(c, out) || (is_del(c) && utf16(c, out, false)) || json_control(c, out, false)
        },
        // ASCII only: Python; others in capitals.
        &|c, out| {
            json_short(c, out)
                || (!c.is_ascii() | is_del(c) && utf16(c, out, false))
                || json_control(c, out, false)
        },
        &|c, out| {
            json_short(c, out)
                || (!c.is_ascii() && utf16(c, out, true))
                || json_control(c, out, true)
        },
        // PHP: slashes as well.
        &|c, out| {
            (c == '/' && print!(out, "\\/"))
                || json_short(c, out)
                || (!c.is_ascii() && utf16(c, out, false))
                || json_control(c, out, false)
        },
        // Go: nothing that HTML could take for its own.
        &|c, out| {
            (matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') && utf16(c, out, false))
                || json_short(c, out)
                || json_control(c, out, false)
        },
        // .NET: the same in capitals, and more of it.
        &|c, out| {
            (matches!(c, '<' | '>' | '&' | '\'' | '"' | '+' | '`' | '\u{7f}')
                && utf16(c, out, true))
                || json_short(c, out)
                || (!c.is_ascii() && utf16(c, out, true))
                || json_control(c, out, true)
        },
    ];
    for replace in dialects {
        let mut form = Vec::with_capacity(value.len());
        for c in text.chars() {
            if !replace(c, &mut form) {
                form.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        forms.push(form);
    }
}

const JSON_SHORT: [(u8, &[u8]); 7] = [
    (b'"', b"\\\""),
    (b'\\', b"\\\\"),
    (b'\n', b"\\n"),
    (b'\r', b"\\r"),
    (b'\t', b"\\t"),
    (8, b"\\b"),
    (12, b"\\f"),
];

fn json_short(c: char, out: &mut Vec<u8>) -> bool {
    u8::try_from(c).is_ok_and(|byte| put(byte, out, &JSON_SHORT))
}

fn json_control(c: char, out: &mut Vec<u8>, upper: bool) -> bool {
    c < ' ' && utf16(c, out, upper)
}

fn is_del(c: char) -> bool {
    c == '\u{7f}'
}

fn utf16(c: char, out: &mut Vec<u8>, upper: bool) -> bool {
    for unit in c.encode_utf16(&mut [0; 2]) {
        if upper {
            print!(out, "\\u{unit:04X}");
        } else {
            print!(out, "\\u{unit:04x}");
        }
    }
    true
}

fn xml(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    const LESS: [(u8, &[u8]); 2] = [(b'&', b"&amp;"), (b'<', b"&lt;")];
    const GREATER: (u8, &[u8]) = (b'>', b"&gt;");
    const QUOTES: [&[(u8, &[u8])]; 6] = [
        &[],
        &[(b'"', b"&quot;")],
        &[(b'"', b"&quot;"), (b'\'', b"&apos;")],
        &[(b'"', b"&quot;"), (b'\'', b"&#39;")],
        &[(b'"', b"&#34;"), (b'\'', b"&#39;")],
        &[(b'"', b"&quot;"), (b'\'', b"&#x27;")],
    ];
    const LINES: [&[(u8, &[u8])]; 3] = [
        &[],
        &[(b'\n', b"&#10;"), (b'\r', b"&#13;"), (b'\t', b"&#9;")],
        &[(b'\n', b"&#xA;"), (b'\r', b"&#xD;"), (b'\t', b"&#x9;")],
    ];
    let mut table = Vec::new();
    for quotes in QUOTES {
        for lines in LINES {
            table.clear();
            table.extend(LESS.iter().chain(quotes).chain(lines).copied());
            forms.push(each(value, &|byte, out| put(byte, out, &table)));
            table.push(GREATER);
            forms.push(each(value, &|byte, out| put(byte, out, &table)));
        }
    }
}

/// What bash's `printf %q` puts a backslash before, wherever it stands.
const QUOTED_BY_BASH: &[u8] = b" \t!\"$&'()*,;<>?[\\]^`{|}";
/// What zsh's `${(q)}` does.
const QUOTED_BY_ZSH: &[u8] = b" \"#$&'()*;<>?[\\]^`{|}";

fn shell(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    // In single quotes.
    for quote in [&b"'\\''"[..], b"'\"'\"'"] {
        forms.push(each(value, &|byte, out| put(byte, out, &[(b'\'', quote)])));
    }
    // In double quotes; interactively `!` as well.
    for specials in [&b"\"$\\`"[..], b"\"$\\`!"] {
        forms.push(each(value, &|byte, out| backslash(byte, out, specials)));
    }
    // In none.
    forms.push(each(value, &|byte, out| backslash(byte, out, QUOTED_BY_BASH)));
    forms.push(each(value, &|byte, out| {
        if !byte.is_ascii_control() {
            return backslash(byte, out, QUOTED_BY_ZSH);
        }
        out.extend_from_slice(b"$'");
        ansi_c_by_zsh(byte, out);
        out.push(b'\'');
        true
    }));
    // In `$'...'`: what is not ASCII as it is, or in octal.
    for ascii in [false, true] {
        forms.push(each(value, &|byte, out| ansi_c(byte, out, ascii)));
    }
    forms.push(each(value, &ansi_c_by_zsh));
}

fn backslash(byte: u8, out: &mut Vec<u8>, specials: &[u8]) -> bool {
    let special = specials.contains(&byte);
    if special {
        out.extend_from_slice(&[b'\\', byte]);
    }
    special
}

fn ansi_c(byte: u8, out: &mut Vec<u8>, ascii: bool) -> bool {
    const SHORT: [(u8, &[u8]); 10] = [
        (b'\\', b"\\\\"),
        (b'\'', b"\\'"),
        (b'\n', b"\\n"),
        (b'\r', b"\\r"),
        (b'\t', b"\\t"),
        (7, b"\\a"),
        (8, b"\\b"),
        (11, b"\\v"),
        (12, b"\\f"),
        (27, b"\\E"),
    ];
    put(byte, out, &SHORT)
        || ((byte < 32 || byte == 127 || (ascii && byte > 127)) && print!(out, "\\{byte:03o}"))
}

fn ansi_c_by_zsh(byte: u8, out: &mut Vec<u8>) -> bool {
    match byte {
        b'!' => print!(out, "\\!"),
        27 => print!(out, "\\033"),
        _ => ansi_c(byte, out, false),
    }
}
