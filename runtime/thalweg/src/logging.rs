//! Logs: `tracing`, as text or JSON lines, on stderr.

use std::io::IsTerminal;

use thalweg_core::configuration::options::logging::LogFormat;
use thalweg_core::configuration::{Configuration, Named, options};
use tracing_subscriber::EnvFilter;

/// Begins to log as `env.log.level` and `env.log.format` say; `RUST_LOG` stands above them. The
/// first call of a process counts.
pub fn start(configuration: &Configuration) {
    let level = configuration.get(&options::logging::LEVEL);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.name()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that somebody else has begun to log already, which is as good.
    let _ = match configuration.get(&options::logging::FORMAT) {
        LogFormat::Json => subscriber.json().try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
}
