//! Bytes of a file, whole or a range (RFC 9110, section 14), read only as fast as they are taken.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use crate::problem::Problem;

/// Most bytes that are read at once.
const CHUNK_BYTES: u64 = 128 * 1024;

/// Bytes that can be read at any place.
pub(crate) trait Bytewise: Send + Sync + 'static {
    /// Fills `buffer` with the bytes at `offset`. Blocks.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytewise for File {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

/// What a `Range` header asks for, of `size` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Everything: no range, or one of a form that may be ignored.
    All,
    /// From, to before.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

fn wanted(range: Option<&HeaderValue>, size: u64) -> Wanted {
    let Some(spec) = range.and_then(|value| value.to_str().ok()?.trim().strip_prefix("bytes="))
    else {
        return Wanted::All;
    };
    let number = |text: &str| -> Option<u64> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(text.parse().unwrap_or(u64::MAX))
    };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::All };
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => Wanted::Nothing,
            Some(_) if size == 0 => Wanted::Nothing,
            Some(count) => Wanted::Part(size.saturating_sub(count), size),
            None => Wanted::All,
        },
        (first, last) => match (number(first), last, number(last)) {
            (Some(first), "", _) if first < size => Wanted::Part(first, size),
            (Some(first), _, Some(last)) if first > last => Wanted::All,
            (Some(first), _, Some(last)) if first < size => {
                Wanted::Part(first, last.saturating_add(1).min(size))
            }
            (Some(_), "", _) | (Some(_), _, Some(_)) => Wanted::Nothing,
            // Several ranges are one answer each: we may send everything instead.
            _ => Wanted::All,
        },
    }
}

/// Answers with the first `size` bytes of `file`, or the range of them that was asked for.
pub(crate) fn answer(
    headers: &HeaderMap,
    file: impl Bytewise,
    size: u64,
    content_type: &'static str,
) -> Response {
    let (status, from, until) = match wanted(headers.get(header::RANGE), size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part(from, until) => (StatusCode::PARTIAL_CONTENT, from, until),
        Wanted::Nothing => {
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range",
                format!("there are {size} bytes"),
            );
            let mut response = problem.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let mut response = (status, body(file, from, until)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(until - from));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = until - 1; // A part has at least one byte.
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {from}-{last}/{size}"));
    }
    response
}

pub(crate) fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn body(file: impl Bytewise, from: u64, until: u64) -> Body {
    let file = Arc::new(file);
    let chunks = stream::try_unfold(from, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at >= until {
                return Ok(None);
            }
            let size = CHUNK_BYTES.min(until - at);
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; size as usize];
                file.fill(&mut chunk, at)?;
                io::Result::Ok(Bytes::from(chunk))
            });
            let chunk = read.await.map_err(io::Error::other)??;
            io::Result::Ok(Some((chunk, at + size)))
        }
    });
    Body::from_stream(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-4", Wanted::Part(0, 5)),
            ("bytes=5-", Wanted::Part(5, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=", Wanted::All),
            ("lines=0-4", Wanted::All),
        ];
        for (value, expected) in cases {
            assert_eq!(wanted(Some(&HeaderValue::from_static(value)), 10), expected, "{value}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(wanted(Some(&HeaderValue::from_static("bytes=0-0")), 0), Wanted::Nothing);
    }
}
