//! How rows are written as text.

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use thalweg_operators::FunctionResult;

/// Writes rows as lines of text.
///
/// ```
/// use thalweg_connectors::RowFormat;
///
/// let mut out = Vec::new();
/// RowFormat::csv().write(&[("a", 1), ("b", 2)], true, &mut out)?;
/// assert_eq!(out, b"a,1\nb,2\n");
/// # Ok::<(), thalweg_operators::FunctionError>(())
/// ```
pub struct RowFormat<T> {
    write: Write<T>,
    extension: &'static str,
}

type Write<T> = Arc<dyn Fn(&[T], bool, &mut Vec<u8>) -> FunctionResult + Send + Sync>;

impl<T> RowFormat<T> {
    /// Each row is a line that `line` makes of it. A line end within it is kept: whoever reads
    /// the output sees two lines.
    pub fn with(line: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        let write = move |rows: &[T], _first: bool, out: &mut Vec<u8>| {
            for row in rows {
                out.extend_from_slice(line(row).as_bytes());
                out.push(b'\n');
            }
            Ok(())
        };
        Self { write: Arc::new(write), extension: "txt" }
    }

    /// Each row is a line, as it displays.
    pub fn lines() -> Self
    where
        T: Display,
    {
        let write = |rows: &[T], _first: bool, out: &mut Vec<u8>| {
            use std::io::Write as _;
            for row in rows {
                writeln!(out, "{row}")?;
            }
            Ok(())
        };
        Self { write: Arc::new(write), extension: "txt" }
    }

    /// Each row is a line of JSON.
    pub fn json_lines() -> Self
    where
        T: Serialize,
    {
        let write = |rows: &[T], _first: bool, out: &mut Vec<u8>| {
            for row in rows {
                serde_json::to_writer(&mut *out, row)?;
                out.push(b'\n');
            }
            Ok(())
        };
        Self { write: Arc::new(write), extension: "jsonl" }
    }

    /// CSV by RFC 4180, with line feeds as line ends. A struct's field names make the header.
    pub fn csv() -> Self
    where
        T: Serialize,
    {
        let write = |rows: &[T], first: bool, out: &mut Vec<u8>| {
            let mut writer = csv::WriterBuilder::new().has_headers(first).from_writer(out);
            for row in rows {
                writer.serialize(row)?;
            }
            writer.flush()?;
            Ok(())
        };
        Self { write: Arc::new(write), extension: "csv" }
    }

    /// Appends the rows to `out`. `first`: nothing was written before, so a header comes first,
    /// where the format has one.
    ///
    /// # Errors
    /// A row can't be written in this format.
    pub fn write(&self, rows: &[T], first: bool, out: &mut Vec<u8>) -> FunctionResult {
        (self.write)(rows, first, out)
    }

    /// What names of files in this format end with.
    pub fn extension(&self) -> &'static str {
        self.extension
    }
}

impl<T> Clone for RowFormat<T> {
    fn clone(&self) -> Self {
        Self { write: self.write.clone(), extension: self.extension }
    }
}

impl<T> std::fmt::Debug for RowFormat<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowFormat({})", self.extension)
    }
}
