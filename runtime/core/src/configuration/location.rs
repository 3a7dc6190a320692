//! Where bytes are kept: a path on this machine or a URI.
//!
//! Which schemes can be opened is not decided here; the storage crate says it when it opens one.

use std::fmt;
use std::path::Path;

use super::error::ValueError;
use super::value::ConfigValue;

/// A path (`/var/lib/thalweg`), a file URI (`file:///var/lib/thalweg`) or another URI
/// (`s3://bucket/prefix`). The text is taken literally; nothing is percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

impl Location {
    /// The location as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI's scheme; none for a plain path.
    pub fn scheme(&self) -> Option<&str> {
        self.0.split_once("://").map(|(scheme, _)| scheme)
    }

    /// The path on this machine, when it is one: a plain path or a file URI.
    pub fn local_path(&self) -> Option<&Path> {
        match self.0.split_once("://") {
            None => Some(Path::new(&self.0)),
            Some((scheme, path)) => scheme.eq_ignore_ascii_case("file").then(|| Path::new(path)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ConfigValue for Location {
    fn expected() -> String {
        "a path or a URI".to_owned()
    }

    fn example() -> String {
        "/var/lib/thalweg/checkpoints".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let bad = |reason| Err(ValueError::BadLocation { reason });
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        if text.chars().any(char::is_control) {
            return bad("it contains a control character");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let mut characters = scheme.chars();
            let valid = characters.next().is_some_and(|c| c.is_ascii_alphabetic())
                && characters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            if !valid {
                return bad("what stands before :// is not a URI's scheme");
            }
            if rest.is_empty() {
                return bad("nothing follows the ://");
            }
            if scheme.eq_ignore_ascii_case("file") && !rest.starts_with('/') {
                return bad("a file URI has three slashes, as in file:///var/lib/thalweg");
            }
        } else if text.starts_with("file:") {
            return bad("a file URI has three slashes, as in file:///var/lib/thalweg");
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> Option<String> {
        Some(self.0.clone())
    }
}
