//! An application's own arguments: `--name value` pairs.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The arguments can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Something that isn't `--name`.
    #[error("{given:?} is not understood: arguments are --name value pairs ({known})")]
    NotAName {
        /// What was given.
        given: String,
        /// The names that there are.
        known: String,
    },
    /// A name without a value.
    #[error("--{0} needs a value behind it")]
    NoValue(String),
    /// A name that the application doesn't have.
    #[error("--{name} is unknown ({known})")]
    Unknown {
        /// What was given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A value that can't be read.
    #[error("--{name} {value:?}: {reason}")]
    Invalid {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter that must be there isn't.
    #[error("--{0} is missing")]
    Missing(String),
}

fn known(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("--{n}")).collect();
    format!("known: {}", names.join(", "))
}

/// An application's own arguments.
///
/// ```
/// use thalweg::ParameterTool;
/// let args = ["--rate".to_string(), "100".to_string()];
/// let parameters = ParameterTool::from_args(&args, &["rate", "alerts"])?;
/// assert_eq!(parameters.get::<f64>("rate")?, Some(100.0));
/// assert_eq!(parameters.get::<String>("alerts")?, None);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParameterTool {
    values: BTreeMap<String, String>,
}

impl ParameterTool {
    /// Reads `--name value` or `--name=value` pairs; `names` are all that there are.
    ///
    /// # Errors
    /// An argument that isn't a known name with a value.
    pub fn from_args(args: &[String], names: &[&str]) -> Result<Self, ParameterError> {
        let mut values = BTreeMap::new();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let Some(name) = arg.strip_prefix("--") else {
                let (given, known) = (arg.clone(), known(names));
                return Err(ParameterError::NotAName { given, known });
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (name, None),
            };
            if !names.contains(&name) {
                let (name, known) = (name.into(), known(names));
                return Err(ParameterError::Unknown { name, known });
            }
            let value = inline.or_else(|| rest.next().cloned());
            values.insert(name.into(), value.ok_or_else(|| ParameterError::NoValue(name.into()))?);
        }
        Ok(Self { values })
    }

    /// The value of `--name`, if it was given.
    ///
    /// # Errors
    /// The value can't be read as a `T`.
    pub fn get<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ParameterError> {
        let Some(value) = self.values.get(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|e: T::Err| ParameterError::Invalid {
            name: name.into(),
            value: value.clone(),
            reason: e.to_string(),
        })
    }

    /// The value of `--name`, or `default`.
    ///
    /// # Errors
    /// The value can't be read as a `T`.
    pub fn get_or<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
        default: T,
    ) -> Result<T, ParameterError> {
        Ok(self.get(name)?.unwrap_or(default))
    }

    /// The value of `--name`, which must be there.
    ///
    /// # Errors
    /// It isn't there, or can't be read as a `T`.
    pub fn require<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<T, ParameterError> {
        self.get(name)?.ok_or_else(|| ParameterError::Missing(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_parameter_and_what_there_is() {
        let read = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
            ParameterTool::from_args(&args, &["rate", "alerts"])
        };
        for (args, expected) in [
            (&["rate"][..], "\"rate\" is not understood: arguments are --name value pairs"),
            (&["--rat", "1"], "--rat is unknown (known: --rate, --alerts)"),
            (&["--rate"], "--rate needs a value"),
        ] {
            let error = read(args).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let parameters = read(&["--rate=x"]).unwrap();
        assert!(parameters.get::<f64>("rate").unwrap_err().to_string().contains("--rate \"x\""));
        assert!(parameters.require::<String>("alerts").is_err());
    }
}
