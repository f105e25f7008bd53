//! Addresses of resources.

/// `module.dns.aws_record.r[1]`, with `(deposed object ...)` if that is what is destroyed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// As printed.
    pub(super) text: &'a str,
    /// It is looked up, not made.
    pub(super) is_read: bool,
    /// It cannot well be anything else: its type names a provider, as those of nearly all do, or it
    /// is in a module or has an index.
    pub(super) is_typical: bool,
}

/// Data sources that are called as their providers are.
const WITHOUT_PROVIDER: [&str; 2] = ["external", "http"];

/// The address that a line begins with, and the rest.
pub(super) fn parse(text: &str) -> Option<(Address<'_>, &str)> {
    let mut rest = text;
    let mut kind = part(&mut rest)?;
    let mut in_module = false;
    while kind == ("module", false) {
        rest = rest.strip_prefix('.')?;
        part(&mut rest)?;
        rest = rest.strip_prefix('.')?;
        kind = part(&mut rest)?;
        in_module = true;
    }
    let mut next = kind;
    rest = rest.strip_prefix('.')?;
    let mut name = part(&mut rest)?;
    let reads = matches!(next, ("data" | "ephemeral", false)) && rest.starts_with('.');
    if reads {
        next = name;
        rest = rest.strip_prefix('.')?;
        name = part(&mut rest)?;
    }
    let (type_name, type_is_indexed) = next;
    if type_is_indexed || rest.starts_with('.') {
        return None;
    }
    let deposed = rest.strip_prefix(" (deposed object ").and_then(|rest| rest.split_once(')'));
    if let Some((id, after)) = deposed
        && !id.is_empty()
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        rest = after;
    }
    let text = &text[..text.len() - rest.len()];
    let named = type_name.contains('_') || (reads && WITHOUT_PROVIDER.contains(&type_name));
    let is_typical = named || in_module || name.1;
    Some((Address { text, is_read: reads, is_typical }, rest))
}

/// A name and whether an index follows it, which is passed over with it.
fn part<'a>(rest: &mut &'a str) -> Option<(&'a str, bool)> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let Some(index) = after.strip_prefix('[') else {
        *rest = after;
        return Some((name, false));
    };
    let length = match index.strip_prefix('"') {
        Some(key) => key_length(key)? + 2,
        None => index.bytes().take_while(u8::is_ascii_digit).count(),
    };
    *rest = index.get(length..)?.strip_prefix(']').filter(|_| length > 0)?;
    Some((name, true))
}

/// How long a key is before the quote that ends it.
fn key_length(key: &str) -> Option<usize> {
    let mut escaped = false;
    key.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_where_its_name_or_index_does() {
        let whole = [
            ("null_resource.x", false, true),
            ("aws_instance.s[\"w.e b]\\\"\"]", false, true),
            ("module.a[0].module.b.thing.x", false, true),
            ("data.http.x", true, true),
            ("data.csv.gz", true, false),
            ("module.m.data.aws_ami.x[3]", true, true),
            ("a_b.c (deposed object 0a1f)", false, true),
            ("service.main", false, false),
            ("data.csv", false, false),
        ];
        for (text, is_read, is_typical) in whole {
            let line = format!("{text}: Creating...");
            let found = parse(&line);
            let address = Address { text, is_read, is_typical };
            assert_eq!(found, Some((address, ": Creating...")), "{text}");
        }
        for text in
            ["web", "a.b.c", "module.a", "a.", ".a", "a[0].b", "a.b[", "a.b[]", "a.b[x]", "1a.b"]
        {
            let found = parse(text).filter(|(_, rest)| rest.is_empty());
            assert_eq!(found, None, "{text}");
        }
    }
}
