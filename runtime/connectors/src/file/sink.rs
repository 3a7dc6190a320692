//! A sink that writes part files into a folder, or part objects into a store as S3.
//!
//! Exactly once, with a file system that keeps what was synced: a part is closed and synced at
//! every barrier, and gets its final name when the checkpoint was published. Until then its name
//! starts with `.`. Nothing is resumed, truncated or replaced: after a restart, what wasn't
//! committed is written again into new parts. The folder must be the same one for all
//! TaskManagers. Without checkpoints there is one commit at the end of the input; a job that
//! fails before it has committed everything and runs again may then repeat rows.
//!
//! What earlier attempts left behind is removed when that is safe; see the names in `part_name`.
//! How it is done in a store is in `object_writer`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{
    Committable, DeliveryGuarantee, PrepareCommit, Sink, SinkContext, SinkWriter,
};

use super::object_writer::ObjectWriter;
use super::part_name::WriterName;
use super::parts::{self, Committed, PartError, failed};
use crate::format::RowFormat;

/// Rows are handed to the system in pieces of about this many bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes part files.
///
/// ```
/// use thalweg_connectors::{FileSink, RowFormat};
///
/// let alerts = FileSink::<(u64, String)>::new("out/alerts", RowFormat::json_lines());
/// let rolled = alerts.clone().with_max_part_bytes(64 << 20);
/// # let _ = rolled;
/// ```
pub struct FileSink<T> {
    target: Target,
    format: RowFormat<T>,
    max_part_bytes: Option<u64>,
}

impl<T: Record> FileSink<T> {
    /// Part files in this folder, which is made if it isn't there. Files in it that other sinks
    /// or earlier runs wrote stay as they are. `s3://BUCKET/PREFIX` makes them objects of S3, for
    /// builds with the cargo feature `s3`; the bucket must be there. How S3 is reached is in the
    /// configuration, as `s3.endpoint`.
    pub fn new(folder: impl AsRef<Path>, format: RowFormat<T>) -> Self {
        Self { target: Target::of(folder.as_ref()), format, max_part_bytes: None }
    }

    /// Begins a new part also when the current one has this many bytes. A part can be larger by
    /// one batch.
    #[must_use]
    pub fn with_max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = Some(bytes);
        self
    }
}

impl<T> Clone for FileSink<T> {
    fn clone(&self) -> Self {
        let (target, format) = (self.target.clone(), self.format.clone());
        Self { target, format, max_part_bytes: self.max_part_bytes }
    }
}

impl<T> std::fmt::Debug for FileSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileSink({}, {:?})", self.target, self.format)
    }
}

impl<T: Record> Sink for FileSink<T> {
    type Row = T;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<T>>> {
        let (format, max_part_bytes) = (self.format.clone(), self.max_part_bytes);
        let folder = match &self.target {
            Target::Folder(folder) => folder.clone(),
            Target::Store(location) => {
                return Ok(Box::new(ObjectWriter::open(
                    context,
                    location,
                    format,
                    max_part_bytes,
                )?));
            }
        };
        parts::make_folder(&folder)?;
        let name = WriterName::new(context, format.extension());
        let restored_from = context.restored_from.unwrap_or_default().0;
        let removed =
            parts::remove_left_overs(&folder, |file| name.is_left_over(file, restored_from))?;
        if !removed.is_empty() {
            let (folder, files) = (folder.display(), removed.len());
            tracing::info!(%folder, files, "removed parts of earlier attempts");
        }
        Ok(Box::new(Writer {
            folder,
            format,
            max_part_bytes,
            name,
            number: 0,
            part: None,
            closed: Vec::new(),
            own: Vec::new(),
            buffer: Vec::new(),
        }))
    }
}

/// Where parts go.
#[derive(Clone)]
enum Target {
    Folder(PathBuf),
    /// A store, by its URI.
    Store(String),
}

impl Target {
    fn of(path: &Path) -> Self {
        match path.to_str().and_then(|text| Some((text, text.split_once("://")?))) {
            Some((_, ("file", path))) => Self::Folder(path.into()),
            Some((uri, _)) => Self::Store(uri.to_owned()),
            None => Self::Folder(path.to_owned()),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Store(uri) => f.write_str(uri),
        }
    }
}

/// How a part is committed. Stored in checkpoints as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PartCommit {
    /// The name that it has now.
    pending: String,
    /// The name that it is to have.
    name: String,
}

/// The part that rows are added to.
struct Part {
    number: u64,
    file: File,
    path: PathBuf,
    written: u64,
}

struct Writer<T> {
    folder: PathBuf,
    format: RowFormat<T>,
    max_part_bytes: Option<u64>,
    name: WriterName,
    /// Parts that were begun.
    number: u64,
    part: Option<Part>,
    /// Numbers of the parts that were rolled since the last barrier, and where they are.
    closed: Vec<(u64, PathBuf)>,
    /// Pending names that this writer made and hasn't committed: they must be there.
    own: Vec<String>,
    buffer: Vec<u8>,
}

impl<T: Record> Writer<T> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn part(&mut self) -> Result<&mut Part, PartError> {
        let part = match self.part.take() {
            Some(part) => part,
            None => {
                let number = self.number + 1;
                let path = self.path(&self.name.in_progress(number));
                let file = parts::create(&path)?;
                self.number = number;
                Part { number, file, path, written: 0 }
            }
        };
        Ok(self.part.insert(part))
    }

    /// Hands the buffer to the system.
    fn write_out(&mut self) -> Result<(), PartError> {
        if let Some(part) = &mut self.part
            && !self.buffer.is_empty()
        {
            part.file.write_all(&self.buffer).map_err(failed("write to", &part.path))?;
            part.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Closes the current part, synced.
    fn close_part(&mut self) -> Result<(), PartError> {
        self.write_out()?;
        if let Some(part) = self.part.take() {
            part.file.sync_all().map_err(failed("sync", &part.path))?;
            self.closed.push((part.number, part.path));
        }
        Ok(())
    }
}

impl<T: Record> SinkWriter<T> for Writer<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        let rows = batch.values::<T>()?;
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.part()?.written;
        let first = written == 0 && self.buffer.is_empty();
        self.format.write(rows, first, &mut self.buffer)?;
        let size = written + self.buffer.len() as u64;
        if self.max_part_bytes.is_some_and(|max| size >= max) {
            self.close_part()?;
        } else if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> FunctionResult {
        Ok(self.write_out()?)
    }

    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        self.close_part()?;
        if self.closed.is_empty() {
            return Ok(Vec::new());
        }
        let checkpoint = request.checkpoint.unwrap_or_default().0;
        let mut committables = Vec::with_capacity(self.closed.len());
        for (number, path) in std::mem::take(&mut self.closed) {
            let pending = self.name.pending(number, checkpoint);
            let to = self.path(&pending);
            std::fs::rename(&path, &to).map_err(failed("rename", &path))?;
            let commit = PartCommit { pending, name: self.name.final_name(number) };
            committables.push(serde_json::to_vec(&commit)?);
            self.own.push(commit.pending);
        }
        parts::sync_folder(&self.folder)?;
        Ok(committables)
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        for committable in committables {
            let commit: PartCommit = serde_json::from_slice(committable)
                .map_err(|error| PartError::Committable(error.to_string()))?;
            let (from, to) = (self.path(&commit.pending), self.path(&commit.name));
            let own = self.own.iter().position(|pending| *pending == commit.pending);
            match (parts::make_visible(&from, &to)?, own) {
                (Committed::Gone, Some(_)) => {
                    let (temporary, path) = (from.display().to_string(), to.display().to_string());
                    return Err(PartError::Gone { temporary, path }.into());
                }
                // It was committed before the restart, and whoever reads the folder took it away.
                (Committed::Gone, None) => {
                    let part = to.display();
                    tracing::warn!(%part, "a part of the checkpoint isn't there any more");
                }
                (Committed::Now | Committed::Before, _) => {}
            }
            if let Some(own) = own {
                self.own.swap_remove(own);
            }
        }
        Ok(parts::sync_folder(&self.folder)?)
    }

    fn close(&mut self) {
        let parts = self.part.take().map(|part| part.path).into_iter();
        for path in parts.chain(self.closed.drain(..).map(|(_, path)| path)) {
            // What can't be removed now is a leftover for the next attempt.
            let _ = std::fs::remove_file(path);
        }
    }
}
