//! The application's closure, and how it is run: for real, or to find its code.

mod capture;
mod graph;

use std::sync::Arc;

pub use capture::{CaptureError, CaptureRequest, capture};
pub use graph::first_job;
use thalweg_datastream::StreamExecutionEnvironment;

use crate::Result;

/// What an application is: it describes streams and executes them.
pub type Application = Arc<dyn Fn(&StreamExecutionEnvironment, &[String]) -> Result + Send + Sync>;
