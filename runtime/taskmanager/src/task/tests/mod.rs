//! A task alone, between a scripted gate and a recording writer.

mod checkpoints;
mod encoding;
mod ends;
mod hoarder;
mod running;
mod stops;
mod world;
