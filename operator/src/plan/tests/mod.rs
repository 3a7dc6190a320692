//! Decisions, played through against a model of a cluster, and the table of effects.

mod cluster;
mod decide;
mod earlier;
mod effect;
mod ended;
mod erase;
mod manifests;
mod notice;
mod rollback;
mod stale;
mod warm;
