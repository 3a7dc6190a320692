//! The registry: every option there is, one file per group.
//!
//! An option that isn't in [`GROUPS`] can't be set: a key is known only through it. The
//! reference page is made from it too.

pub mod checkpointing;
pub mod execution;
pub mod heartbeat;
pub mod high_availability;
pub mod jobmanager;
pub mod kubernetes;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod parallelism;
pub mod rest;
pub mod restart_strategy;
pub mod s3;
pub mod security;
pub mod slots;
pub mod state;
pub mod taskmanager;
pub mod web;

use super::option::AnyOption;

/// Options that belong together.
#[derive(Clone, Copy)]
pub struct Group {
    /// The heading on the reference page.
    pub title: &'static str,
    /// The options, in the order of the reference page.
    pub options: &'static [&'static dyn AnyOption],
}

/// Every option, by group.
pub const GROUPS: &[Group] = &[
    jobmanager::GROUP,
    taskmanager::GROUP,
    parallelism::GROUP,
    rest::GROUP,
    web::GROUP,
    checkpointing::GROUP,
    state::GROUP,
    restart_strategy::GROUP,
    high_availability::GROUP,
    s3::GROUP,
    heartbeat::GROUP,
    slots::GROUP,
    kubernetes::GROUP,
    security::GROUP,
    execution::GROUP,
    network::GROUP,
    metrics::GROUP,
    logging::GROUP,
];

/// Every option, in the order of the reference page.
pub fn all() -> impl Iterator<Item = &'static dyn AnyOption> {
    GROUPS.iter().flat_map(|group| group.options.iter().copied())
}

/// The option with this key, or with this as its other accepted key.
pub fn find(key: &str) -> Option<&'static dyn AnyOption> {
    all().find(|option| option.key() == key || option.other_key() == Some(key))
}

/// Declares a group's options and lists each of them in its `GROUP`: so none can be forgotten.
macro_rules! option_group {
    ($title:literal; $($(#[$doc:meta])* $name:ident: $type:ty = $option:expr;)+) => {
        $($(#[$doc])* pub const $name: $crate::configuration::ConfigOption<$type> = $option;)+

        pub(super) const GROUP: super::Group =
            super::Group { title: $title, options: &[$(&$name),+] };
    };
}
use option_group;

/// True for a name or an address of a host, without scheme and port.
fn is_host(text: &str) -> bool {
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    text.parse::<std::net::IpAddr>().is_ok()
        || (text.len() <= 253 && text.chars().all(is_name_character))
}
