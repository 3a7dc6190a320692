//! Rows of JSON lines: each line one JSON value. Blank lines mean nothing.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::csv_decoder::missing_field;
use super::decoder::{DecodeProblem, Decoder};

/// Makes rows of JSON lines.
pub(super) struct JsonDecoder<T> {
    row: PhantomData<fn() -> T>,
}

impl<T> JsonDecoder<T> {
    pub(super) fn new() -> Self {
        Self { row: PhantomData }
    }
}

impl<T: DeserializeOwned> Decoder<T> for JsonDecoder<T> {
    #[inline]
    fn decode(&mut self, record: &[u8]) -> Result<Option<T>, DecodeProblem> {
        match serde_json::from_slice(record) {
            Ok(row) => Ok(Some(row)),
            Err(_) if record.trim_ascii().is_empty() => Ok(None),
            Err(error) => Err(problem(record, &error)),
        }
    }
}

#[cold]
fn problem(record: &[u8], error: &serde_json::Error) -> DecodeProblem {
    let message = error.to_string();
    let field = match missing_field(&message) {
        Some(missing) => Some(missing.to_owned()),
        None => field_at(record, error.column()),
    };
    // A record is one line; which line of the input it is, the reader knows better.
    let reason = message.replacen(" at line 1 column ", ", column ", 1);
    DecodeProblem::Bad { field, reason }
}

/// The path of the object's field that the column (from 1) lies in: `a` or `a.b`.
fn field_at(record: &[u8], column: usize) -> Option<String> {
    let before = record.get(..column.saturating_sub(1).min(record.len()))?;
    // For each object or array that is open: whether it's an object, and its last key.
    let mut open: Vec<(bool, Option<String>)> = Vec::new();
    let mut expects_key = false;
    let mut at = 0;
    while let Some(byte) = before.get(at) {
        match byte {
            b'{' => {
                open.push((true, None));
                expects_key = true;
            }
            b'[' => {
                open.push((false, None));
                expects_key = false;
            }
            b'}' | b']' => {
                open.pop();
                expects_key = false;
            }
            b',' => {
                expects_key = open.last().is_some_and(|(object, _)| *object);
                if let Some((true, key)) = open.last_mut()
                    && at + 1 < before.len()
                {
                    *key = None;
                }
            }
            b'"' => {
                let end = string_end(before, at + 1);
                if let (true, Some((_, key)), Some(end)) = (expects_key, open.last_mut(), end) {
                    *key = Some(String::from_utf8_lossy(&before[at + 1..end]).into_owned());
                    expects_key = false;
                }
                at = end.unwrap_or(before.len());
            }
            _ => {}
        }
        at += 1;
    }
    let keys: Vec<String> = open.into_iter().filter_map(|(_, key)| key).collect();
    (!keys.is_empty()).then(|| keys.join("."))
}

/// Where the string ends whose content begins at `from`.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
