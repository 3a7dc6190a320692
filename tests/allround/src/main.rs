//! `allround --rows N --output DIR [--keys N] [--rate N] [--parallelism N] [--payload BYTES]
//! [--gates DIR]`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("allround", allround::job::run)
}
