//! Window operators against a model that keeps every window of every key, with restores at other
//! parallelisms in between; and the cases that deserve a name.

mod cases;
mod model;
mod random;
mod support;
