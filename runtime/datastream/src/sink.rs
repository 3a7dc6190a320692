//! The end of a stream.

use std::sync::Arc;

use thalweg_core::{Record, RowType};
use thalweg_operators::OperatorInstance;
use thalweg_operators::sink::{Sink, SinkDriver};

use crate::data_stream::DataStream;
use crate::stream_graph::StreamNode;

/// The end of a stream: its settings are those of the sink.
#[derive(Debug)]
pub struct DataStreamSink {
    stream: DataStream<()>,
}

impl<T: Record> DataStream<T> {
    /// Writes the rows to a sink.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let (sink, written) = CollectSink::new();
    /// let rows = env.from_source(CollectionSource::new(vec![1u64, 2]), no_watermarks(), "rows");
    /// rows.sink_to(sink).name("results").uid("results");
    /// env.execute("to a sink")?;
    /// assert_eq!(written.committed(), [1, 2]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sink_to<S: Sink<Row = T>>(&self, sink: S) -> DataStreamSink {
        let sink = Arc::new(sink);
        let guarantee = sink.guarantee();
        let factory =
            Arc::new(move || OperatorInstance::Operator(Box::new(SinkDriver::new(sink.clone()))));
        let mut node = StreamNode::new("Sink", true, factory);
        node.guarantee = Some(guarantee);
        let node = self.env.add(node, &[(0, &self.upstream, RowType::of::<T>())]);
        DataStreamSink { stream: DataStream::from_node(self.env.clone(), node) }
    }
}

impl DataStreamSink {
    /// Names the sink, for people.
    pub fn name(self, name: &str) -> Self {
        Self { stream: self.stream.name(&format!("Sink: {name}")) }
    }

    /// Gives the sink an identity that outlives changes of the program.
    pub fn uid(self, uid: &str) -> Self {
        Self { stream: self.stream.uid(uid) }
    }

    /// How many subtasks the sink has.
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        Self { stream: self.stream.set_parallelism(parallelism) }
    }

    /// Sinks of another group than their input's get slots of their own.
    pub fn slot_sharing_group(self, group: &str) -> Self {
        Self { stream: self.stream.slot_sharing_group(group) }
    }

    /// The sink has a task for itself.
    pub fn disable_chaining(self) -> Self {
        Self { stream: self.stream.disable_chaining() }
    }
}
