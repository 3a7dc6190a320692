//! A YAML text as keys and values: flat dotted keys, nested mappings, or both mixed.
//!
//! Values are only turned into text here; what they mean is the options' matter.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::error::{ConfigurationError, Origin};

/// The largest text that is read.
const BYTES_MAX: usize = 1 << 20;

/// What stands at a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    /// A value whose text is what was written.
    Text(String),
    /// A floating-point number, whose text may not be what was written.
    Float(String),
    /// Something that isn't one value.
    Other(&'static str),
}

/// One key with what stands at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) leaf: Leaf,
}

/// The entries of a YAML text, in the order of the text. An empty text has none.
pub(super) fn entries(text: &str, source_name: &str) -> Result<Vec<Entry>, ConfigurationError> {
    let origin = Origin::named(source_name);
    if text.len() > BYTES_MAX {
        let (bytes, bytes_max) = (text.len(), BYTES_MAX);
        return Err(ConfigurationError::TooLarge { origin, bytes, bytes_max });
    }
    let value: Value = match serde_yaml::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return Err(ConfigurationError::NotYaml { origin, detail: error.to_string() });
        }
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Mapping(mapping) if mapping.is_empty() => Ok(Vec::new()),
        Value::Mapping(_) => {
            let mut flattened = Flattened { source_name, lines: key_lines(text), entries: vec![] };
            flattened.add("", &value);
            Ok(flattened.entries)
        }
        _ => {
            let detail = "the document is a single value or a list".to_owned();
            Err(ConfigurationError::NotYaml { origin, detail })
        }
    }
}

struct Flattened<'a> {
    source_name: &'a str,
    lines: BTreeMap<String, usize>,
    entries: Vec<Entry>,
}

impl Flattened<'_> {
    /// Adds what is below `path`. The parser bounds the depth, and with it the recursion.
    fn add(&mut self, path: &str, value: &Value) {
        let leaf = match value {
            Value::Mapping(mapping) if !mapping.is_empty() => {
                for (key, value) in mapping {
                    let Some(key) = key_text(key) else {
                        self.push(path, Leaf::Other("a key that isn't text"));
                        continue;
                    };
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    self.add(&path, value);
                }
                return;
            }
            Value::Mapping(_) => Leaf::Other("an empty mapping"),
            Value::Null => Leaf::Other("nothing"),
            Value::Bool(value) => Leaf::Text(value.to_string()),
            Value::Number(number) if number.is_f64() => Leaf::Float(number.to_string()),
            Value::Number(number) => Leaf::Text(number.to_string()),
            Value::String(text) => Leaf::Text(text.clone()),
            Value::Sequence(_) => Leaf::Other("a list"),
            Value::Tagged(_) => Leaf::Other("a tagged value"),
        };
        self.push(path, leaf);
    }

    fn push(&mut self, path: &str, leaf: Leaf) {
        let line = self.lines.get(path).copied();
        let origin = Origin { name: self.source_name.to_owned(), line };
        self.entries.push(Entry { key: path.to_owned(), origin, leaf });
    }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The line, from 1, of each dotted path in a block-style text: the parser doesn't tell. It is
/// only shown to the user; where it can't be found (flow style, anchors) it is left out.
fn key_lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let Some(key) = line_key(content) else { continue };
        while parents.last().is_some_and(|(parent_indent, _)| *parent_indent >= indent) {
            parents.pop();
        }
        let path = match parents.last() {
            Some((_, parent)) => format!("{parent}.{key}"),
            None => key.to_owned(),
        };
        lines.insert(path.clone(), index + 1);
        parents.push((indent, path));
    }
    lines
}

fn line_key(content: &str) -> Option<&str> {
    if content.starts_with(['#', '-', '{', '[']) {
        return None;
    }
    if let Some(quote) = content.chars().next().filter(|c| ['"', '\''].contains(c)) {
        let (key, rest) = content[1..].split_once(quote)?;
        return rest.trim_start().starts_with(':').then_some(key);
    }
    let end = content.find(": ").or_else(|| content.trim_end().strip_suffix(':').map(str::len))?;
    Some(content[..end].trim_end())
}
