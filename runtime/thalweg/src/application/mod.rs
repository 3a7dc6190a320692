//! The application's closure, and how it is run: for real, or to find its code.

mod capture;

use std::sync::Arc;

pub use capture::{CaptureError, CaptureRequest, capture};
use thalweg_datastream::StreamExecutionEnvironment;

use crate::Result;

/// What an application is: it describes streams and executes them.
pub type Application = Arc<dyn Fn(&StreamExecutionEnvironment, &[String]) -> Result + Send + Sync>;
