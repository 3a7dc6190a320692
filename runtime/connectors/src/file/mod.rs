//! Files: a source that reads a file or a folder of them, and a sink that writes part files.

mod object_name;
#[cfg(test)]
mod object_tests;
mod object_writer;
mod part_name;
mod parts;
mod paths;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use paths::PathError;
pub use sink::FileSink;
pub use source::FileSource;
