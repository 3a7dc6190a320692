//! A task alone, between a scripted gate and a recording writer.

mod checkpoints;
mod ends;
mod running;
mod stops;
mod world;
