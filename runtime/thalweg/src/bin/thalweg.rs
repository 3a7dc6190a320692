//! The stock binary: talks to running clusters. It has no application of its own; that is a binary
//! that links the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("thalweg", |_env, _args| {
        Err("this binary has no application: use `thalweg list` or `thalweg cancel JOB_ID`, or \
             start the binary of an application"
            .into())
    })
}
