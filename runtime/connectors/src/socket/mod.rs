//! Lines of text over TCP: a source that connects and reads, and a sink that connects and writes.

mod connection;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::SocketSink;
pub use source::SocketSource;
