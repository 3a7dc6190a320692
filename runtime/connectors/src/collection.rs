//! A source of values that the program holds.
//!
//! Bounded and replayable: after a restart it goes on where the checkpoint says, so that every
//! value counts once. The values are part of the program: every process that runs it must make
//! the same ones (values from outside belong into `env.once`).

use std::ops::Range;
use std::sync::Arc;

use thalweg_core::Record;
use thalweg_operators::FunctionResult;
use thalweg_operators::source::{
    Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader,
};

use crate::position::{BadPosition, decode_numbers, encode_numbers};

/// The values of a vector, in their order.
///
/// ```
/// use thalweg_connectors::CollectionSource;
///
/// let words = CollectionSource::new(vec!["deep".to_owned(), "fast".to_owned()]);
/// # let _ = words;
/// ```
#[derive(Debug, Clone)]
pub struct CollectionSource<T> {
    values: Arc<Vec<T>>,
    parallel: bool,
}

impl<T: Record> CollectionSource<T> {
    /// One split: the whole order is kept, and one subtask reads it.
    pub fn new(values: Vec<T>) -> Self {
        Self { values: Arc::new(values), parallel: false }
    }

    /// A split for each subtask, each a range of the values: the order is kept within each.
    #[must_use]
    pub fn in_parallel(mut self) -> Self {
        self.parallel = true;
        self
    }
}

/// The program made other values on this process than on the JobManager.
#[derive(Debug, thiserror::Error)]
#[error(
    "the collection has {actual} values here, but the job was submitted with at least {expected}: \
     the program must make the same values in every process; put what comes from outside into \
     env.once"
)]
struct OtherValues {
    expected: u64,
    actual: usize,
}

impl<T: Record> Source for CollectionSource<T> {
    type Row = T;

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    fn enumerate(&self, parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        let count = self.values.len() as u64;
        let splits = if self.parallel { u64::from(parallelism.max(1)) } else { 1 };
        let ranges =
            (0..splits).map(|split| (count * split / splits)..(count * (split + 1) / splits));
        let split = |range: Range<u64>| SourceSplit {
            id: format!("{}-{}", range.start, range.end),
            weight: range.end - range.start,
            bytes: encode_numbers(&[range.start, range.end]),
            total: 0,
        };
        Ok(ranges.filter(|range| !range.is_empty()).map(split).collect())
    }

    fn open(
        &self,
        split: &SourceSplit,
        position: Option<&[u8]>,
        _context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<T>>> {
        let [start, end] = decode_numbers(&split.bytes)?;
        let next = match position {
            Some(position) => decode_numbers::<1>(position)?[0],
            None => start,
        };
        if end > self.values.len() as u64 {
            return Err(OtherValues { expected: end, actual: self.values.len() }.into());
        }
        if !(start..=end).contains(&next) {
            return Err(BadPosition.into());
        }
        // Both fit, since they are at most the vector's length.
        Ok(Box::new(Reader { values: self.values.clone(), left: next as usize..end as usize }))
    }
}

struct Reader<T> {
    values: Arc<Vec<T>>,
    left: Range<usize>,
}

impl<T: Record> SplitReader<T> for Reader<T> {
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<T>) -> FunctionResult<ReadStatus> {
        let end = self.left.end.min(self.left.start.saturating_add(max_rows));
        rows.rows.extend_from_slice(&self.values[self.left.start..end]);
        self.left.start = end;
        Ok(if self.left.is_empty() { ReadStatus::End } else { ReadStatus::More })
    }

    fn position(&self) -> Vec<u8> {
        encode_numbers(&[self.left.start as u64])
    }
}
