//! The ways between hosts: turmoil's network behind the engine's transport traits, with faults of
//! messages for RPC ([`rpc`]) and of connections for records ([`data`]).

pub mod data;
mod faulty_stream;
pub mod one_way;
pub mod rpc;
