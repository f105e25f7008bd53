//! Prints `web/src/lib/api/types.ts`; `cargo xtask codegen` puts it there.
#![expect(clippy::print_stdout, reason = "what it is for")]

fn main() {
    print!("{}", stepflow_api::typescript());
}
