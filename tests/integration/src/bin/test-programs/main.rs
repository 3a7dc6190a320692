//! Programs that the tests run as a user would run an application: the first argument says which.
//!
//! They are what the example applications aren't: several jobs in one program, a function that
//! panics, a program that isn't the same each time, one whose types change.

mod accounts;
mod counts;
mod not_deterministic;
mod parts;
mod remembered;
mod two_jobs;

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::run("test-programs", |env, args| match args.split_first() {
        Some((name, args)) if name == "accounts" => accounts::run(env, args),
        Some((name, args)) if name == "counts" => counts::run(env, args),
        Some((name, args)) if name == "parts" => parts::run(env, args),
        Some((name, args)) if name == "remembered" => remembered::run(env, args),
        Some((name, args)) if name == "two-jobs" => two_jobs::run(env, args),
        Some((name, args)) if name == "not-deterministic" => not_deterministic::run(env, args),
        _ => Err("the first argument isn't the name of a program".into()),
    })
}
