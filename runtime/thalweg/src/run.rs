//! Where an application's `main` goes.

use std::process::ExitCode;
use std::sync::Arc;

use thalweg_datastream::StreamExecutionEnvironment;

use crate::Result;
use crate::application::Application;
use crate::command_line::{self, Role};
use crate::process;
use crate::state_command;

/// Runs an application in the role that the process's arguments ask for, and gives its exit code:
/// 0 finished, 1 failed, 2 cancelled (or the arguments are wrong).
///
/// The closure describes streams and executes them. It is run on the JobManager, and on every
/// TaskManager to find its code: what comes from outside and shapes a job goes through
/// [`StreamExecutionEnvironment::once`].
pub fn run(
    name: &str,
    application: impl Fn(&StreamExecutionEnvironment, &[String]) -> Result + Send + Sync + 'static,
) -> ExitCode {
    let application: Application = Arc::new(application);
    let arguments: Vec<String> = std::env::args().collect();
    let role = match Role::from_arguments(&arguments) {
        Ok(role) => role,
        Err(usage) => {
            // Printing usage to a closed terminal can't be reported anywhere.
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match role {
        Role::Local(options) => process::run_local(name, &application, &options),
        Role::JobManager(options) => process::run_job_manager(name, &application, &options),
        Role::TaskManager(options) => process::run_task_manager(name, &application, &options),
        Role::List(target) => return command_line::list(&target),
        Role::Cancel(options) => return command_line::cancel(&options),
        Role::Savepoint(options) => return command_line::savepoint(&options),
        Role::Stop(options) => return command_line::stop(&options),
        Role::Checkpoint(options) => return command_line::checkpoint(&options),
        Role::Rescale(options) => return command_line::rescale(&options),
        Role::Check(options) => process::check(name, &application, &options),
        Role::State(options) => return state_command::state(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
