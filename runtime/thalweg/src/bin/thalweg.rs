//! The stock binary: talks to running clusters, and looks at checkpoints. It has no application of
//! its own; that is a binary that links the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("thalweg", |_env, _args| {
        Err("this binary has no application: use `thalweg list`, `thalweg cancel JOB_ID` or \
             `thalweg state ls DIRECTORY`, or start the binary of an application"
            .into())
    })
}
