//! `allround --rows N --output DIR [--keys N] [--rate N] [--parallelism N] [--payload BYTES]
//! [--gates DIR] [--more-state true]`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("allround", allround::job::run)
}
