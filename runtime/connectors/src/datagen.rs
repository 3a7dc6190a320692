//! A source that computes its rows.
//!
//! Replayable: row n is what the function makes of n, so after a restart every row counts once.
//! How fast it goes is the source's rate option, not a matter of the generator.

use std::sync::Arc;

use thalweg_core::Record;
use thalweg_operators::FunctionResult;
use thalweg_operators::source::{
    Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader,
};

use crate::position::{BadPosition, decode_numbers, encode_numbers};

/// Rows that a function computes from their number.
///
/// The rows are dealt out among the splits in turn: of `n` splits, split `k` has the numbers k,
/// k + n, k + 2n, ... So rows whose event time rises with their number advance together.
///
/// ```
/// use thalweg_connectors::DataGenerator;
///
/// let squares = DataGenerator::new(|n: u64| n * n).with_count(1000);
/// # let _ = squares;
/// ```
#[derive(Clone)]
pub struct DataGenerator<F> {
    generate: Arc<F>,
    count: Option<u64>,
    splits: Option<u32>,
}

impl<T: Record, F: Fn(u64) -> T + Send + Sync + 'static> DataGenerator<F> {
    /// The rows `generate(0)`, `generate(1)`, ... without an end. The function must make the same
    /// row of the same number every time.
    pub fn new(generate: F) -> Self {
        Self { generate: Arc::new(generate), count: None, splits: None }
    }
}

impl<F> DataGenerator<F> {
    /// Ends after `count` rows over all splits.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Number of splits: as many as subtasks, unless set. At least 1.
    #[must_use]
    pub fn with_splits(mut self, splits: u32) -> Self {
        self.splits = Some(splits.max(1));
        self
    }
}

impl<F> std::fmt::Debug for DataGenerator<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataGenerator")
            .field("count", &self.count)
            .field("splits", &self.splits)
            .finish_non_exhaustive()
    }
}

impl<T: Record, F: Fn(u64) -> T + Send + Sync + 'static> Source for DataGenerator<F> {
    type Row = T;

    fn boundedness(&self) -> Boundedness {
        match self.count {
            Some(_) => Boundedness::Bounded,
            None => Boundedness::Unbounded,
        }
    }

    fn enumerate(&self, parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        let splits = u64::from(self.splits.unwrap_or(parallelism).max(1));
        let split = |k: u64| {
            // The numbers below `count` that are k modulo `splits`.
            let rows = self.count.map_or(u64::MAX / splits, |count| {
                (count / splits) + u64::from(count % splits > k)
            });
            SourceSplit {
                id: format!("{k}-of-{splits}"),
                weight: self.count.map_or(0, |_| rows),
                bytes: encode_numbers(&[k, splits, rows]),
                total: 0,
            }
        };
        Ok((0..splits).map(split).collect())
    }

    fn open(
        &self,
        split: &SourceSplit,
        position: Option<&[u8]>,
        _context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<T>>> {
        let [first, stride, rows] = decode_numbers(&split.bytes)?;
        let done = match position {
            Some(position) => decode_numbers::<1>(position)?[0],
            None => 0,
        };
        if done > rows || stride == 0 || first >= stride {
            return Err(BadPosition.into());
        }
        Ok(Box::new(Reader { generate: self.generate.clone(), first, stride, rows, done }))
    }
}

struct Reader<F> {
    generate: Arc<F>,
    first: u64,
    stride: u64,
    rows: u64,
    done: u64,
}

impl<T: Record, F: Fn(u64) -> T + Send + Sync> SplitReader<T> for Reader<F> {
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<T>) -> FunctionResult<ReadStatus> {
        let count = (self.rows - self.done).min(max_rows as u64);
        let start = self.first + self.done * self.stride;
        let (generate, stride) = (&*self.generate, self.stride);
        // An exact length, so that the loop has no check for room; the counter fits `usize`
        // since it is at most `max_rows`.
        rows.rows.extend((0..count as usize).map(|n| generate(start + n as u64 * stride)));
        self.done += count;
        Ok(if self.done == self.rows { ReadStatus::End } else { ReadStatus::More })
    }

    fn position(&self) -> Vec<u8> {
        encode_numbers(&[self.done])
    }
}
