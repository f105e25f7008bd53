//! What can be shown of an artifact without harm: data of a bounded size, read from the copy. What
//! its name promises is tried; what does not keep it is text, or the first bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
};

use stepflow_api::{ArchiveEntry, PreviewContent};

use crate::{
    credential::hex,
    markdown::{self, Linkable},
};

/// Most of a text, a table and a value that is sent.
const TEXT_BYTES: u64 = 512 * 1024;
const MARKDOWN_BYTES: u64 = 1 << 20;
const TABLE_BYTES: usize = 8 << 20;
const JSON_BYTES: u64 = 4 << 20;
const HEX_BYTES: u64 = 4096;
/// Rows of a table that are looked at, and sent unless asked otherwise.
const ROWS_MAX: u64 = 100_000;
const ROWS_DEFAULT: usize = 1_000;
/// Bytes of a table's file that are read.
const TABLE_READ_MAX: u64 = 256 << 20;
/// Names of an archive that are listed; of a packed one no more than so much is unpacked for them.
const ENTRIES_MAX: usize = 10_000;
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// Bytes that tell what a file is, and how large an image.
const HEAD_BYTES: u64 = 64 * 1024;

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The first row of a table.
    pub(crate) from_row: u64,
    /// Most rows.
    pub(crate) limit: Option<usize>,
    /// As text, whatever it is.
    pub(crate) as_text: bool,
}

/// Whether a page can show a file of this name as an image.
pub(crate) fn is_image(name: &str) -> bool {
    image_type(&extension(name)).is_some()
}

/// What can be shown, and whether there is more.
pub(crate) fn content(
    file: &File,
    size: u64,
    name: &str,
    asked: &Asked,
    artifacts: &[Linkable],
) -> io::Result<(PreviewContent, bool)> {
    let extension = extension(name);
    if asked.as_text {
        return text(file, size);
    }
    let made = match extension.as_str() {
        "md" | "markdown" => {
            let (source, cut) = head_text(file, size, MARKDOWN_BYTES)?;
            let (nodes, left_out) = markdown::tree(&source, artifacts);
            Some((PreviewContent::Markdown { nodes }, cut || left_out))
        }
        "csv" | "tsv" | "tab" => table(file, size, &extension, asked)?,
        "json" | "geojson" | "ipynb" => json(file, size)?,
        "jsonl" | "ndjson" => json_lines(file, size)?,
        "html" | "htm" | "xhtml" => Some((PreviewContent::Html {}, false)),
        "zip" | "jar" | "whl" | "docx" | "xlsx" | "pptx" | "apk" => zip(file)?,
        "tar" => tar(reader(file, size), "tar"),
        "tgz" => packed_tar(file, size),
        "gz" if name.to_ascii_lowercase().ends_with(".tar.gz") => packed_tar(file, size),
        _ => media(&extension).or(image(file, size, &extension)?),
    };
    if let Some(made) = made {
        return Ok(made);
    }
    let head = read_head(file, size, HEAD_BYTES)?;
    if is_text(&head) {
        return text(file, size);
    }
    let shown = &head[..head.len().min(HEX_BYTES as usize)];
    Ok((PreviewContent::Hex { hex: hex(shown) }, size > HEX_BYTES))
}

/// In lower case, without its dot; empty without one.
fn extension(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_ascii_lowercase(),
        _ => String::new(),
    }
}

fn read_head(file: &File, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size.min(most) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The beginning as text that breaks no character in two, and whether there is more.
fn head_text(file: &File, size: u64, most: u64) -> io::Result<(String, bool)> {
    let bytes = read_head(file, size, most)?;
    let cut = size > most;
    let end = match std::str::from_utf8(&bytes) {
        Err(error) if cut && error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), cut))
}

fn text(file: &File, size: u64) -> io::Result<(PreviewContent, bool)> {
    let (text, cut) = head_text(file, size, TEXT_BYTES)?;
    Ok((PreviewContent::Text { text }, cut))
}

/// Whether bytes look like text: no NUL, and hardly anything that is not UTF-8.
fn is_text(head: &[u8]) -> bool {
    let bad: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    !head.contains(&0) && bad * 20 <= head.len()
}

/// Reads a file from its beginning, whatever was read of it before.
fn reader(file: &File, size: u64) -> BufReader<At<'_>> {
    BufReader::with_capacity(64 * 1024, At { file, next: 0, size })
}

struct At<'a> {
    file: &'a File,
    next: u64,
    size: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = (self.size - self.next).min(buffer.len() as u64) as usize;
        let read = self.file.read_at(&mut buffer[..most], self.next)?;
        self.next += read as u64;
        Ok(read)
    }
}

impl io::Seek for At<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::End(by) => self.size.checked_add_signed(by),
            io::SeekFrom::Current(by) => self.next.checked_add_signed(by),
        };
        self.next = at
            .filter(|at| *at <= self.size)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.next)
    }
}

type Made = Option<(PreviewContent, bool)>;

fn table(file: &File, size: u64, extension: &str, asked: &Asked) -> io::Result<Made> {
    let head = read_head(file, size, HEAD_BYTES)?;
    if !is_text(&head) {
        return Ok(None);
    }
    let delimiter = if extension == "csv" { delimiter(&head) } else { b'\t' };
    let limit = asked.limit.unwrap_or(ROWS_DEFAULT).min(ROWS_MAX as usize);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let (mut bytes, mut number, mut more) = (0, 0, size > TABLE_READ_MAX);
    let mut source = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(reader(file, size.min(TABLE_READ_MAX)));
    let mut record = csv::ByteRecord::new();
    loop {
        match source.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return Ok(None),
        }
        if number >= ROWS_MAX || rows.len() >= limit || bytes >= TABLE_BYTES {
            more = true;
            break;
        }
        if number >= asked.from_row {
            bytes += record.as_slice().len() + record.len();
            let field = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
            rows.push(record.iter().map(field).collect());
        }
        number += 1;
    }
    let delimiter = char::from(delimiter).to_string();
    Ok(Some((PreviewContent::Csv { delimiter, rows, from_row: asked.from_row }, more)))
}

/// The sign that the first line has most of.
fn delimiter(head: &[u8]) -> u8 {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |sign: u8| memchr::memchr_iter(sign, line).count();
    let signs = [b'|', b'\t', b';', b','];
    signs.into_iter().max_by_key(|sign| count(*sign)).unwrap_or(b',')
}

fn json(file: &File, size: u64) -> io::Result<Made> {
    if size > JSON_BYTES {
        return Ok(None); // Half a value is none: the beginning is shown as text.
    }
    let bytes = read_head(file, size, JSON_BYTES)?;
    Ok(serde_json::from_slice(&bytes).ok().map(|value| (PreviewContent::Json { value }, false)))
}

fn json_lines(file: &File, size: u64) -> io::Result<Made> {
    let (text, cut) = head_text(file, size, JSON_BYTES)?;
    // A line that is cut is no value.
    let whole = if cut { text.rsplit_once('\n').map_or("", |lines| lines.0) } else { &text };
    let lines = whole.lines().filter(|line| !line.trim().is_empty());
    let values: Result<Vec<_>, _> = lines.map(serde_json::from_str).collect();
    Ok(values
        .ok()
        .filter(|values| !values.is_empty())
        .map(|values| (PreviewContent::JsonLines { values }, cut)))
}

fn image_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn image(file: &File, size: u64, extension: &str) -> io::Result<Made> {
    let Some(mime) = image_type(extension) else { return Ok(None) };
    let mime = mime.to_owned();
    if extension == "svg" {
        return Ok(Some((PreviewContent::Image { mime, width: None, height: None }, false)));
    }
    let head = read_head(file, size, HEAD_BYTES)?;
    // What is no image is shown as what it is.
    Ok(imagesize::blob_size(&head).ok().map(|found| {
        let (width, height) = (Some(found.width as u32), Some(found.height as u32));
        (PreviewContent::Image { mime, width, height }, false)
    }))
}

fn media(extension: &str) -> Made {
    let mime = media_type(extension)?;
    Some((PreviewContent::Media { mime: mime.to_owned() }, false))
}

/// The type of a file of sound or pictures in motion, by its extension without a dot.
pub(crate) fn media_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" | "oga" => "audio/ogg",
        "flac" => "audio/flac",
        "m4a" => "audio/mp4",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => return None,
    })
}

fn zip(file: &File) -> io::Result<Made> {
    let size = file.metadata()?.len();
    let Ok(mut archive) = zip::ZipArchive::new(reader(file, size)) else { return Ok(None) };
    let mut entries = Vec::new();
    for at in 0..archive.len().min(ENTRIES_MAX) {
        let Ok(entry) = archive.by_index_raw(at) else { return Ok(None) };
        entries.push(ArchiveEntry { name: named(entry.name_raw()), size: entry.size() });
    }
    let more = archive.len() > ENTRIES_MAX;
    Ok(Some((PreviewContent::Archive { format: "zip".to_owned(), entries }, more)))
}

fn packed_tar(file: &File, size: u64) -> Made {
    tar(flate2::read::GzDecoder::new(reader(file, size)).take(UNPACKED_BYTES_MAX), "tar.gz")
}

fn tar(source: impl Read, format: &str) -> Made {
    let mut archive = tar::Archive::new(source);
    let (mut entries, mut more) = (Vec::new(), false);
    for entry in archive.entries().ok()? {
        // An archive that is cut off shows what was read of it.
        let Ok(entry) = entry else {
            more = true;
            break;
        };
        if entries.len() >= ENTRIES_MAX {
            more = true;
            break;
        }
        entries.push(ArchiveEntry { name: named(&entry.path_bytes()), size: entry.size() });
    }
    let format = format.to_owned();
    (!entries.is_empty()).then_some((PreviewContent::Archive { format, entries }, more))
}

/// A name as a page can show it.
fn named(name: &[u8]) -> String {
    let mut shown = String::new();
    for char in String::from_utf8_lossy(name).chars().take(4096) {
        match stepflow_view::symbol(char) {
            Some(symbol) => shown.push_str(&symbol),
            None => shown.push(char),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::*;

    fn of(name: &str, bytes: &[u8], asked: &Asked) -> (Value, bool) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let (content, more) = content(&file, bytes.len() as u64, name, asked, &[]).unwrap();
        (serde_json::to_value(content).unwrap(), more)
    }

    #[test]
    fn what_a_name_promises_is_shown() {
        let png = [
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(),
            &[0, 0, 1, 0, 0, 0, 0, 32, 8, 6, 0, 0, 0],
        ]
        .concat();
        for (name, bytes, expected) in [
            ("a.txt", b"hello".as_slice(), json!({"kind": "text", "text": "hello"})),
            ("a", b"hello", json!({"kind": "text", "text": "hello"})),
            ("a.json", br#"{"b":[1]}"#, json!({"kind": "json", "value": {"b": [1]}})),
            ("a.jsonl", b"1\n\n[2]\n", json!({"kind": "json_lines", "values": [1, [2]]})),
            (
                "a.csv",
                b"a;b\n1;\"x;y\"\n3\n",
                json!({"kind": "csv", "delimiter": ";", "from_row": 0,
                       "rows": [["a", "b"], ["1", "x;y"], ["3"]]}),
            ),
            (
                "a.tsv",
                b"a\tb,c\n",
                json!({"kind": "csv", "delimiter": "\t", "from_row": 0, "rows": [["a", "b,c"]]}),
            ),
            (
                "a.md",
                b"# x",
                json!({"kind": "markdown", "nodes": [{"kind": "heading", "level": 1,
                       "children": [{"kind": "text", "text": "x"}]}]}),
            ),
            ("a.html", b"<script>", json!({"kind": "html"})),
            (
                "a.png",
                &png,
                json!({"kind": "image", "mime": "image/png", "width": 256, "height": 32}),
            ),
            ("a.bin", b"\0\x01\xff", json!({"kind": "hex", "hex": "0001ff"})),
            ("", b"", json!({"kind": "text", "text": ""})),
        ] {
            assert_eq!(of(name, bytes, &Asked::default()), (expected, false), "{name}");
        }
    }

    #[test]
    fn what_does_not_keep_its_promise_is_shown_as_what_it_is() {
        for (name, bytes, kind) in [
            ("a.json", b"{not json".as_slice(), "text"),
            ("a.json", b"\0\0", "hex"),
            ("a.png", b"not an image", "text"),
            ("a.zip", b"PK\x03\x04 but no more", "text"),
            ("a.zip", b"PK\x03\x04\0\0\0", "hex"),
            ("a.tar", b"short", "text"),
            ("a.tar.gz", b"\x1f\x8b\x08\0\0", "hex"),
            ("a.csv", b"\0\x01\x02", "hex"),
            ("a.jsonl", b"x\n", "text"),
        ] {
            let (content, _) = of(name, bytes, &Asked::default());
            assert_eq!(content["kind"], kind, "{name}");
        }
    }

    #[test]
    fn archives_are_listed_and_not_unpacked() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_cksum();
        builder.append_data(&mut header, "dir/a\u{202e}b.txt", b"abc".as_slice()).unwrap();
        let bytes = builder.into_inner().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&bytes).unwrap();
        let packed = packed.finish().unwrap();
        let mut zipped = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        zipped.start_file("dir/a\u{202e}b.txt", stored).unwrap();
        zipped.write_all(b"abc").unwrap();
        let zipped = zipped.finish().unwrap().into_inner();
        let names =
            [("a.tar", &bytes, "tar"), ("a.tgz", &packed, "tar.gz"), ("a.zip", &zipped, "zip")];
        for (name, bytes, format) in names {
            let (content, more) = of(name, bytes, &Asked::default());
            let entries = json!([{"name": "dir/a<202E>b.txt", "size": 3}]);
            assert_eq!(content, json!({"kind": "archive", "format": format, "entries": entries}));
            assert!(!more);
            // Cut anywhere: no panic, no endless reading.
            for end in (0..bytes.len()).step_by(37) {
                of(name, &bytes[..end], &Asked::default());
            }
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let text = "é".repeat(TEXT_BYTES as usize);
        let (content, more) = of("a.txt", text.as_bytes(), &Asked::default());
        assert!(more);
        let shown = content["text"].as_str().unwrap();
        assert!(shown.len() as u64 <= TEXT_BYTES && !shown.contains('\u{fffd}'));
        let rows = "1,2\n".repeat(5_000);
        let asked = Asked { from_row: 4_990, limit: Some(50), as_text: false };
        let (content, more) = of("a.csv", rows.as_bytes(), &asked);
        assert_eq!((content["rows"].as_array().unwrap().len(), more), (10, false));
        let (content, more) = of("a.csv", rows.as_bytes(), &Asked::default());
        assert_eq!((content["rows"].as_array().unwrap().len(), more), (1_000, true));
        let nested = "[".repeat(100_000);
        assert_eq!(of("a.json", nested.as_bytes(), &Asked::default()).0["kind"], "text");
        let asked = Asked { as_text: true, ..Asked::default() };
        assert_eq!(of("a.html", b"<b>", &asked).0["kind"], "text");
    }
}
