//! `allround --rows N --output DIR [--keys N] [--rate N] [--parallelism N] [--payload BYTES]
//! [--gates DIR] [--more-state true]`, or `allround troubled ...`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("allround", |env, args| match args.split_first() {
        Some((first, rest)) if first == "troubled" => allround::troubled::run(env, rest),
        _ => allround::job::run(env, args),
    })
}
