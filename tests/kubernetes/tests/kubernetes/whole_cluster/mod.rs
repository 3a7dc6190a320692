//! What concerns all applications of a cluster: run one after another, and beside no other test.

mod alerts;
mod machines;
mod many;
mod operator;
