#!/usr/bin/env python3
"""Writes mask-forms.json: what other programs make of some secrets. `mask.rs` tests our forms on it.

Run by hand where a form is added; needs bash, zsh, base64, openssl, xxd, jq and node.
"""

import base64
import html
import json
import shlex
import subprocess
import urllib.parse
from xml.sax import saxutils

SECRETS = [
    "hunter22",
    "AKIAIOSFODNN7EXAMPLE+key/slash=",
    "p@ss \"w'rd\\ <&>$x`!#/+~%=?*;,|(){}[]^",
    "tab\tand  two spaces",
    "p\u00e4ssw\u00f6rd \u2192 \u79d8\u5bc6 \U0001f511",
    "bell\x07 escape\x1b delete\x7f end",
    "it's 'quoted' \"twice\"",
    "first line\nsecond 'line'\nxy\nlast & least",
    "user:0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF0123456789abcdef",
    "".join(chr(33 + i * 7 % 94) for i in range(300)),
    "-----BEGIN KEY-----\n" + "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ%02d" % i for i in range(9))
    + "\nab==\n-----END KEY-----",
]


def run(*argv, stdin=None):
    done = subprocess.run(argv, input=stdin, capture_output=True, check=True)
    return done.stdout


def inside(text, before, after):
    assert text.startswith(before) and text.endswith(after), (text, before, after)
    return text[len(before) : len(text) - len(after)]


def forms(secret):
    raw = secret.encode()
    yield "raw", raw
    yield "pty", raw.replace(b"\n", b"\r\n")
    yield "echo, not quoted", run("bash", "-fc", "s=$1; echo $s", "x", secret).rstrip(b"\n")
    yield "base64", base64.b64encode(raw)
    yield "base64, no padding", base64.b64encode(raw).rstrip(b"=")
    yield "base64url", base64.urlsafe_b64encode(raw)
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "python quote", urllib.parse.quote(secret).encode()
    yield "python quote, nothing kept", urllib.parse.quote(secret, safe="").encode()
    yield "python quote_plus", urllib.parse.quote_plus(secret).encode()
    yield "python json", inside(json.dumps(secret), '"', '"').encode()
    yield "python json, not ascii", inside(json.dumps(secret, ensure_ascii=False), '"', '"').encode()
    yield "python html", html.escape(secret).encode()
    yield "python html, no quotes", html.escape(secret, quote=False).encode()
    yield "python xml", saxutils.escape(secret).encode()
    yield "python xml attribute", inside(saxutils.quoteattr(secret.replace('"', "")), '"', '"').encode() if '"' not in secret else saxutils.escape(secret, {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}).encode()
    quoted = shlex.quote(secret)
    yield "python shlex", (inside(quoted, "'", "'") if quoted != secret else quoted).encode()
    for name, script in [
        ("json", "JSON.stringify(s).slice(1, -1)"),
        ("component", "encodeURIComponent(s)"),
        ("uri", "encodeURI(s)"),
        ("form", "new URLSearchParams({s}).toString().slice(2)"),
    ]:
        yield "node " + name, run("node", "-e", f"const s = process.argv[1]; process.stdout.write({script})", "--", secret)
    for name in ["@json", "@uri", "@html"]:
        text = run("jq", "-jn", "--arg", "s", secret, f"$s | {name}").decode()
        yield "jq " + name, (inside(text, '"', '"') if name == "@json" else text).encode()
    text = run("bash", "-c", "printf %q \"$1\"", "x", secret).decode()
    yield "bash %q", (inside(text, "$'", "'") if text.startswith("$'") else text).encode()
    text = run("bash", "-c", 'printf %s "${1@Q}"', "x", secret).decode()
    yield "bash @Q", inside(text, "$'" if text.startswith("$") else "'", "'").encode()
    text = run("bash", "-c", "s=$1; declare -p s", "x", secret).decode().removesuffix("\n")
    text = text.removeprefix("declare -- s=")
    yield "bash declare", (inside(text, "$'", "'") if text.startswith("$'") else inside(text, '"', '"')).encode()
    yield "zsh q", run("zsh", "-fc", "print -rn -- ${(q)1}", "x", secret)
    text = run("zsh", "-fc", "print -rn -- ${(qqqq)1}", "x", secret).decode()
    yield "zsh qqqq", inside(text, "$'", "'").encode()


def wrapped(secret):
    raw = secret.encode()
    yield "base64", run("base64", stdin=raw)
    yield "openssl base64", run("openssl", "base64", stdin=raw)
    yield "xxd -p", run("xxd", "-p", stdin=raw)


def packed(data):
    return base64.b64encode(data).decode()


table = []
for secret in SECRETS:
    table.append(
        {
            "secret": packed(secret.encode()),
            "forms": [[name, packed(form)] for name, form in forms(secret)],
            "wrapped": [[name, packed(form)] for name, form in wrapped(secret)],
        }
    )
with open(__file__.replace(".py", ".json"), "w") as out:
    json.dump(table, out, indent=1)
    out.write("\n")
