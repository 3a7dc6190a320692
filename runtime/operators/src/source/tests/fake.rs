//! A source whose splits are scripts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Row;
use crate::contract::{FunctionResult, WakeHandle};
use crate::source::{
    BadRecord, Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader,
};

/// What a reader finds next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Rows(Vec<i64>),
    Nothing,
    Bad(BadRecord),
    End,
}

/// A source of rows (split, event time).
#[derive(Clone)]
pub(super) struct FakeSource {
    scripts: Vec<Vec<Step>>,
    boundedness: Boundedness,
    chunk: usize,
    counts: Arc<Counts>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// The wake handles of the readers, by split.
#[derive(Default)]
struct Wakes(Mutex<Vec<(u32, WakeHandle)>>);

impl FakeSource {
    /// Each split has these event times and ends.
    pub(super) fn bounded(splits: &[&[i64]]) -> Arc<Self> {
        let script = |times: &&[i64]| vec![Step::Rows(times.to_vec()), Step::End];
        Self::new(splits.iter().map(script).collect(), Boundedness::Bounded)
    }

    /// Each split has these steps, then nothing.
    pub(super) fn unbounded(scripts: Vec<Vec<Step>>) -> Arc<Self> {
        Self::new(scripts, Boundedness::Unbounded)
    }

    fn new(scripts: Vec<Vec<Step>>, boundedness: Boundedness) -> Arc<Self> {
        let (counts, wakes) = (Arc::default(), Arc::default());
        Arc::new(Self { scripts, boundedness, chunk: usize::MAX, counts, wakes })
    }

    /// A read finds at most so many rows.
    pub(super) fn with_chunk(&self, chunk: usize) -> Arc<Self> {
        Arc::new(Self { chunk, ..self.clone() })
    }

    pub(super) fn splits(&self) -> Vec<SourceSplit> {
        self.enumerate(1).unwrap()
    }

    pub(super) fn all_rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (split, script) in (0..).zip(&self.scripts) {
            for step in script {
                if let Step::Rows(times) = step {
                    rows.extend(times.iter().map(|time| (split, *time)));
                }
            }
        }
        rows
    }

    pub(super) fn wake(&self, split: u32) {
        let wakes = self.wakes.0.lock().unwrap();
        wakes.iter().filter(|(of, _)| *of == split).for_each(|(_, wake)| wake());
    }

    pub(super) fn opened(&self) -> usize {
        self.counts.opened.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    pub(super) fn most_open(&self) -> usize {
        self.counts.most_open.load(Ordering::Relaxed)
    }
}

impl Source for FakeSource {
    type Row = Row;

    fn boundedness(&self) -> Boundedness {
        self.boundedness
    }

    fn enumerate(&self, _parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        let split =
            |n: usize| SourceSplit { id: n.to_string(), weight: 1, bytes: vec![n as u8], total: 0 };
        Ok((0..self.scripts.len()).map(split).collect())
    }

    fn open(
        &self,
        split: &SourceSplit,
        position: Option<&[u8]>,
        context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<Row>>> {
        let number = u32::from(split.bytes[0]);
        self.wakes.0.lock().unwrap().push((number, context.wake.clone()));
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        let open = self.counts.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.counts.most_open.fetch_max(open, Ordering::Relaxed);
        let position = position.map_or([0, 0], |position| [position[0], position[1]]);
        Ok(Box::new(Reader {
            split: number,
            script: self.scripts[number as usize].clone(),
            chunk: self.chunk,
            step: usize::from(position[0]),
            row: usize::from(position[1]),
            counts: self.counts.clone(),
        }))
    }
}

struct Reader {
    split: u32,
    script: Vec<Step>,
    chunk: usize,
    step: usize,
    row: usize,
    counts: Arc<Counts>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SplitReader<Row> for Reader {
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<Row>) -> FunctionResult<ReadStatus> {
        assert!(max_rows > 0);
        match self.script.get(self.step) {
            None => return Ok(ReadStatus::Pending { until: None }),
            Some(Step::End) => return Ok(ReadStatus::End),
            Some(Step::Nothing) => {
                self.step += 1;
                return Ok(ReadStatus::Pending { until: None });
            }
            Some(Step::Bad(bad)) => {
                rows.bad.push(bad.clone());
                self.step += 1;
            }
            Some(Step::Rows(times)) => {
                let end = times.len().min(self.row.saturating_add(max_rows.min(self.chunk)));
                rows.rows.extend(times[self.row..end].iter().map(|time| (self.split, *time)));
                self.row = end;
                if end == times.len() {
                    self.step += 1;
                    self.row = 0;
                }
            }
        }
        // A split ends with its last rows, as files do.
        match self.script.get(self.step) {
            Some(Step::End) => Ok(ReadStatus::End),
            _ => Ok(ReadStatus::More),
        }
    }

    fn position(&self) -> Vec<u8> {
        vec![self.step as u8, self.row as u8]
    }
}
