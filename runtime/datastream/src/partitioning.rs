//! How a stream's rows are spread over the subtasks of what follows.

use std::sync::Arc;

use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::job_graph::ShipStrategy;
use thalweg_core::{Batch, Record};
use thalweg_operators::code::CustomPartition;

use crate::broadcast_stream::BroadcastStream;
use crate::data_stream::DataStream;
use crate::stream_graph::Partition;

struct ByFunction<T, F> {
    channel: F,
    rows: std::marker::PhantomData<fn(T)>,
}

impl<T: Record, F: Fn(&T, u32) -> u32 + Send + Sync> CustomPartition for ByFunction<T, F> {
    fn partition(
        &self,
        batch: &Batch,
        channels: u32,
        destinations: &mut Vec<u32>,
    ) -> Result<(), RowTypeMismatch> {
        let rows = batch.values::<T>()?;
        destinations.extend(rows.iter().map(|row| (self.channel)(row, channels) % channels.max(1)));
        Ok(())
    }
}

impl<T: Record> DataStream<T> {
    /// Round robin over all subtasks.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = env.from_source(CollectionSource::new(vec![1u64, 2]), no_watermarks(), "rows");
    /// let spread = rows.rebalance().map(|n| n + 1).rescale().map(|n| n + 1).shuffle();
    /// let mut out = spread.map(|n| n + 1).global().map(|n| n).execute_and_collect()?;
    /// out.sort();
    /// assert_eq!(out, [4, 5]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn rebalance(&self) -> Self {
        self.partitioned(Partition::plain(ShipStrategy::Rebalance))
    }

    /// Round robin over the subtasks that are near: needs fewer channels than
    /// [`DataStream::rebalance`], and evens out only locally.
    #[must_use]
    pub fn rescale(&self) -> Self {
        self.partitioned(Partition::plain(ShipStrategy::Rescale))
    }

    /// Evenly, in no order that repeats over subtasks.
    #[must_use]
    pub fn shuffle(&self) -> Self {
        self.partitioned(Partition::plain(ShipStrategy::Shuffle))
    }

    /// Every row to subtask 0.
    #[must_use]
    pub fn global(&self) -> Self {
        self.partitioned(Partition::plain(ShipStrategy::Global))
    }

    /// Subtask i to subtask i. Both sides need the same parallelism.
    #[must_use]
    pub fn forward(&self) -> Self {
        self.partitioned(Partition::plain(ShipStrategy::Forward))
    }

    /// Every row to every subtask.
    ///
    /// See [`crate::BroadcastConnectedStream`] for an example.
    pub fn broadcast(&self) -> BroadcastStream<T> {
        BroadcastStream::new(self.partitioned(Partition::plain(ShipStrategy::Broadcast)))
    }

    /// To the subtask that `channel(row, number of subtasks)` gives; a number that is too large
    /// is taken modulo.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = env.from_source(CollectionSource::new(vec![7u64, 8]), no_watermarks(), "rows");
    /// let by_parity = rows.partition_custom(|row, subtasks| (*row % 2) as u32 % subtasks);
    /// let mut out = by_parity.map(|n| n).execute_and_collect()?;
    /// out.sort();
    /// assert_eq!(out, [7, 8]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn partition_custom(
        &self,
        channel: impl Fn(&T, u32) -> u32 + Send + Sync + 'static,
    ) -> Self {
        let custom = ByFunction { channel, rows: std::marker::PhantomData };
        let mut partition = Partition::plain(ShipStrategy::Custom);
        partition.custom = Some(Arc::new(custom));
        self.partitioned(partition)
    }

    pub(crate) fn partitioned(&self, partition: Partition) -> Self {
        let mut stream = self.clone();
        for upstream in &mut stream.upstream {
            upstream.partition = Some(partition.clone());
        }
        stream
    }
}
