//! What is logged and how.

use super::option_group;
use crate::configuration::ConfigOption;
use crate::configuration::named::Named;

/// The least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What is suspicious, too.
    Warn,
    /// What happened, too.
    Info,
    /// What it did on the way, too.
    Debug,
    /// Everything.
    Trace,
}

impl Named for LogLevel {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] = &[
        (Self::Off, "off", &[]),
        (Self::Error, "error", &[]),
        (Self::Warn, "warn", &[]),
        (Self::Info, "info", &[]),
        (Self::Debug, "debug", &[]),
        (Self::Trace, "trace", &[]),
    ];
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Named for LogFormat {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] =
        &[(Self::Text, "text", &[]), (Self::Json, "json", &[])];
}

option_group! {
    "Logging";

    /// The level.
    LEVEL: LogLevel = ConfigOption::new(
        "env.log.level",
        || LogLevel::Info,
        "The least severity that is logged to stderr.",
    )
    .ours();

    /// The form.
    FORMAT: LogFormat = ConfigOption::new(
        "env.log.format",
        || LogFormat::Text,
        "The form of a log line: `text` for people, `json` for log collectors.",
    )
    .ours();
}
