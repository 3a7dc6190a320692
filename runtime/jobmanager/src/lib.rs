//! Who decides: dispatcher, job master, resource manager and REST.

pub mod rest;
