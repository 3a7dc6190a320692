//! Points at which a test can make the job stop: while a file of the point's name is in the gates'
//! folder, whoever comes to the point waits there, and says so by a file `<point>.<process id>`.
//! So a fault can be brought about exactly there. Without a folder there are no gates.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg::core::Batch;
use thalweg::operators::sink::{Committable, PrepareCommit, Sink, SinkContext, SinkWriter};
use thalweg::prelude::*;

/// A sink's part is written and the checkpoint isn't complete.
pub const CHECKPOINT: &str = "checkpoint";
/// The checkpoint is published and nothing is committed.
pub const BEFORE_COMMIT: &str = "before-commit";
/// All is committed and nobody knows it.
pub const AFTER_COMMIT: &str = "after-commit";
/// A part of the state is restored.
pub const RESTORE: &str = "restore";

/// Between two looks at whether a gate is still closed.
const LOOK: Duration = Duration::from_millis(10);

/// The gates.
#[derive(Debug, Clone, Default)]
pub struct Gates(Option<Arc<PathBuf>>);

impl Gates {
    /// The gates of this folder, which is there.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(folder.map(Arc::new))
    }

    /// Waits while the gate is closed.
    ///
    /// # Errors
    /// The folder can't be written.
    #[expect(clippy::disallowed_methods, reason = "standing still is what a gate is for")]
    pub fn pass(&self, point: &str) -> FunctionResult {
        let Some(folder) = &self.0 else { return Ok(()) };
        let gate = folder.join(point);
        if !gate.exists() {
            return Ok(());
        }
        fs::write(folder.join(format!("{point}.{}", std::process::id())), "")?;
        while gate.exists() {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// A sink with gates in it.
pub struct GatedSink<S> {
    /// The sink.
    pub sink: S,
    /// The gates.
    pub gates: Gates,
}

impl<S: Sink> Sink for GatedSink<S> {
    type Row = S::Row;

    fn guarantee(&self) -> DeliveryGuarantee {
        self.sink.guarantee()
    }

    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<S::Row>>> {
        let writer = self.sink.writer(context)?;
        Ok(Box::new(GatedWriter { writer, gates: self.gates.clone() }))
    }
}

struct GatedWriter<T> {
    writer: Box<dyn SinkWriter<T>>,
    gates: Gates,
}

impl<T> SinkWriter<T> for GatedWriter<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        self.writer.write(batch)
    }

    fn flush(&mut self) -> FunctionResult {
        self.writer.flush()
    }

    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        let committables = self.writer.prepare_commit(request)?;
        self.gates.pass(CHECKPOINT)?;
        Ok(committables)
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        self.gates.pass(BEFORE_COMMIT)?;
        self.writer.commit(committables)?;
        self.gates.pass(AFTER_COMMIT)
    }

    fn close(&mut self) {
        self.writer.close();
    }
}
