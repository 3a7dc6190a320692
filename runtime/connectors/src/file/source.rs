//! A source that reads text files: a file, or a folder of them.
//!
//! Bounded and replayable: after a restart each file goes on behind the last record of the
//! checkpoint, so every record counts once. A file is one split and is never cut, so the order
//! within a file is kept and a file is read by one subtask. Files must not change while the job
//! runs; what is added to a folder later isn't seen. A relative path is seen from the JobManager's
//! working directory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thalweg_core::Record;
use thalweg_operators::FunctionResult;
use thalweg_operators::source::{
    Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader,
};

use super::PathError;
use super::paths::{FoundFile, find_files};
use crate::format::{CsvHeader, Input, LineFormat, Place, RecordReader};
use crate::position::{decode_numbers, encode_numbers};

/// Reads text files.
///
/// ```
/// use thalweg_connectors::FileSource;
///
/// // A file, or a folder: then all files in it, except those named `.something` or `_something`.
/// let lines = FileSource::lines("data/words.txt");
/// // Columns are matched to the fields of the row by the names in the header.
/// let payments = FileSource::<(u64, String)>::csv("data/payments");
/// # let _ = (lines, payments);
/// ```
#[derive(Debug)]
pub struct FileSource<T> {
    path: PathBuf,
    format: LineFormat<T>,
}

impl FileSource<String> {
    /// Each line is a row.
    pub fn lines(path: impl AsRef<Path>) -> Self {
        Self::new(path, LineFormat::lines())
    }
}

impl<T: DeserializeOwned + 'static> FileSource<T> {
    /// CSV. The first line of each file names its columns.
    pub fn csv(path: impl AsRef<Path>) -> Self {
        Self::new(path, LineFormat::csv(CsvHeader::FromInput))
    }

    /// Each line is a JSON value.
    pub fn json_lines(path: impl AsRef<Path>) -> Self {
        Self::new(path, LineFormat::json_lines())
    }
}

impl<T> FileSource<T> {
    /// Files of this format.
    pub fn new(path: impl AsRef<Path>, format: LineFormat<T>) -> Self {
        Self { path: path.as_ref().to_owned(), format }
    }
}

impl<T> Clone for FileSource<T> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), format: self.format.clone() }
    }
}

impl<T: Record> Source for FileSource<T> {
    type Row = T;

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    fn enumerate(&self, _parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        let split = |file: FoundFile| {
            // Other processes may have other working directories.
            let path = std::path::absolute(&file.path);
            let path = path.map_err(|source| PathError::io(Path::new(&file.path), source))?;
            let id = path.into_os_string().into_string();
            let id = id.map_err(|path| PathError::Name(path.display().to_string()))?;
            Ok(SourceSplit { id, weight: file.length, bytes: Vec::new(), total: 0 })
        };
        find_files(&self.path)?.into_iter().map(split).collect()
    }

    fn open(
        &self,
        split: &SourceSplit,
        position: Option<&[u8]>,
        _context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<T>>> {
        let path = Path::new(&split.id);
        let file = File::open(path).map_err(|source| PathError::io(path, source))?;
        let framer = self.format.framer(Place::default());
        let name = split.id.clone();
        let records = RecordReader::new(name, framer, self.format.decoder(), false);
        let mut reader = Reader { path: path.to_owned(), file, records };
        if let Some(position) = position {
            reader = reader.resume(place_of(position)?, &self.format)?;
        }
        Ok(Box::new(reader))
    }
}

fn place_of(position: &[u8]) -> FunctionResult<Place> {
    let [offset, line, within] = decode_numbers(position)?;
    Ok(Place { offset, line, within_long_line: within != 0 })
}

struct Reader<T> {
    path: PathBuf,
    file: File,
    records: RecordReader<T>,
}

impl<T: Record> Reader<T> {
    /// A reader at `place`, which a reader of this file has told.
    fn resume(mut self, place: Place, format: &LineFormat<T>) -> FunctionResult<Self> {
        if place.offset == 0 {
            return Ok(self);
        }
        let unreadable = |source| PathError::io(&self.path, source);
        let length = self.file.metadata().map_err(unreadable)?.len();
        if length < place.offset {
            let path = self.path.display().to_string();
            return Err(PathError::Shorter { path, position: place.offset, length }.into());
        }
        // The header is read again, since it says what the fields behind it mean.
        let (path, file) = (&self.path, &mut self.file);
        self.records.read_header(|room| read(file, path, room))?;
        let seen = self.file.seek(SeekFrom::Start(place.offset));
        seen.map_err(|source| PathError::io(&self.path, source))?;
        let name = self.path.display().to_string();
        let decoder = self.records.into_decoder();
        let records = RecordReader::new(name, format.framer(place), decoder, true);
        Ok(Self { path: self.path, file: self.file, records })
    }
}

fn read(file: &mut File, path: &Path, room: &mut [u8]) -> FunctionResult<Input> {
    loop {
        match file.read(room) {
            Ok(0) => return Ok(Input::End),
            Ok(bytes) => return Ok(Input::Bytes(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(PathError::io(path, source).into()),
        }
    }
}

impl<T: Record> SplitReader<T> for Reader<T> {
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<T>) -> FunctionResult<ReadStatus> {
        let Self { path, file, records } = self;
        records.read(max_rows, rows, |room| read(file, path, room))
    }

    fn position(&self) -> Vec<u8> {
        let Place { offset, line, within_long_line } = self.records.place();
        encode_numbers(&[offset, line, u64::from(within_long_line)])
    }
}
