//! Decisions, played through against a model of a cluster, and the table of effects.

mod cluster;
mod decide;
mod effect;
mod notice;
mod rollback;
mod warm;
