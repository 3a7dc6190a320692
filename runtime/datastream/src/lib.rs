//! The typed API: what an application is written in.
//!
//! An application describes streams on a [`StreamExecutionEnvironment`]; each call adds a node to
//! the [`stream_graph`]. `execute` turns that into a JobGraph and the code that belongs to it
//! ([`generate`]) and hands both to an [`Executor`]: who runs it, and where, isn't known here.
//!
//! The rest of Flink's DataStream API has its places: more of a stream's methods go into a file
//! beside [`data_stream`]'s, joins and window-all beside [`windowed_stream`].

pub mod aggregations;
pub mod broadcast_stream;
pub mod connected_streams;
pub mod data_stream;
pub mod environment;
pub mod executor;
pub mod generate;
pub mod keyed_stream;
pub mod partitioning;
pub mod sink;
pub mod stream_graph;
pub mod windowed_stream;

pub use broadcast_stream::{BroadcastConnectedStream, BroadcastStream};
pub use connected_streams::{ConnectedStreams, KeyedConnectedStreams};
pub use data_stream::DataStream;
pub use environment::StreamExecutionEnvironment;
pub use executor::{Collected, ExecuteError, Executor, JobExecutionResult};
pub use generate::GraphError;
pub use keyed_stream::KeyedStream;
pub use sink::DataStreamSink;
pub use windowed_stream::WindowedStream;
