//! What ordinary output costs: counted, so that it holds on every machine.

use stepflow_markers::dialects::{Dialects, Offers, Selection, Stream};

fn offers(output: &str, piece: usize) -> Offers {
    let mut dialects = Dialects::new(&Selection::auto());
    let mut offset = 0;
    for piece in output.as_bytes().chunks(piece) {
        dialects.push(Stream::Merged, piece, offset, &mut |event| panic!("{event:?}"));
        offset += piece.len() as u64;
    }
    dialects.offers()
}

/// Lines as programs print them, of about 80 bytes.
const ORDINARY: [&str; 12] = [
    "the quick brown fox jumps over the lazy dog and runs away from the wolf 1234567",
    "2026-11-29T12:00:01.123Z INFO app::db::pool connected to 10.0.0.7:5432 in 12 ms",
    "12:00:01 INFO app: the quick brown fox: jumps over the lazy dog: and runs 12:00",
    "fatal: the quick brown date: jumps over the lazy data: and runs away from: 1234",
    "        the quick brown fox jumps over the lazy dog and runs away [from] #1 | 23",
    "on the quick brown fox jumps over the lazy dog and runs away from the wolf 123.",
    "10.0.0.1 - - [29/Nov/2026:09:00:00 +0000] \"GET /a/1?q=1::2#x HTTP/1.1\" 200 99",
    "{\"id\":1,\"ok\":true,\"name\":\"not ok 1\",\"at\":[1,2],\"path\":\"std::vec::Vec\"}",
    "/usr/lib/python3/dist-packages/some/package/with/a/long/name/module_of_it.pyc",
    "[2026-11-29 12:00:01] WARNING worker 7 took 1234 ms to answer the request of 42",
    "-rw-r--r-- 1 user group 12345 Nov 29 12:00 a-file-with-a-long-name-and-more.txt",
    "gcc -O2 -Wall -Wextra -c src/deep/inside/a-file.c -o build/deep/inside/a-file.o",
];

#[test]
fn no_dialect_sees_a_line_of_ordinary_output() {
    let output: String = (0..40).flat_map(|_| ORDINARY).flat_map(|line| [line, "\n"]).collect();
    let whole = offers(&output, output.len());
    assert_eq!(whole.shown, 0, "of {} lines", 40 * ORDINARY.len());
    assert_eq!(whole.lines, 0, "none is even decoded");
    // The two parts of a line that is cut by a read are put together and decoded.
    let cut = offers(&output, 4096);
    assert_eq!(cut.shown, 0);
    assert!(cut.lines <= output.len() as u64 / 4096 + 1, "{cut:?}");
}
