//! What is asked of a window operator, whichever it is, and the choice of the operator.

use std::sync::Arc;

use thalweg_core::{Key, Record};

use super::assigner::DURATION_MS_MAX;
use super::{SessionWindows, SlicedWindows, WindowAssigner, WindowError, WindowFunction};
use crate::contract::{FunctionResult, Operator, OperatorError, OutputTag, SubtaskInfo};
use crate::functions::KeySelector;

/// Makes a window function, once per subtask.
pub type MakeWindowFunction<F> = Arc<dyn Fn(&SubtaskInfo) -> FunctionResult<F> + Send + Sync>;

/// Which windows, and what becomes of late rows.
#[derive(Debug, Clone)]
pub struct WindowOptions<T> {
    /// Which windows a row is in.
    pub assigner: WindowAssigner,
    /// For how long after it fired a window still takes rows: ms of event time.
    pub allowed_lateness_ms: i64,
    /// Where rows go that come too late for all their windows. None: they are dropped. They are
    /// counted either way.
    pub late: Option<OutputTag<T>>,
}

impl<T> WindowOptions<T> {
    /// Such windows, without allowed lateness; late rows are dropped.
    pub fn new(assigner: WindowAssigner) -> Self {
        Self { assigner, allowed_lateness_ms: 0, late: None }
    }

    /// Whether a window operator can be made of it.
    ///
    /// # Errors
    /// As [`WindowAssigner::validate`], and a lateness that is negative or far too long.
    pub fn validate(&self) -> Result<(), WindowError> {
        self.assigner.validate()?;
        match self.allowed_lateness_ms {
            0..=DURATION_MS_MAX => Ok(()),
            value => Err(WindowError::Lateness { value, max: DURATION_MS_MAX }),
        }
    }
}

/// The operator for these windows over rows keyed by `key`.
///
/// # Errors
/// As [`WindowOptions::validate`].
pub fn window_operator<K, T, S, F>(
    key: Arc<S>,
    options: WindowOptions<T>,
    make: MakeWindowFunction<F>,
) -> Result<Box<dyn Operator>, WindowError>
where
    K: Key,
    T: Record,
    S: KeySelector<T, K>,
    F: WindowFunction<K, T>,
{
    Ok(match options.assigner {
        WindowAssigner::Session { gap_ms } => {
            Box::new(SessionWindows::<K, T, S, F>::new(key, gap_ms, options, make)?)
        }
        WindowAssigner::Tumbling { .. } | WindowAssigner::Sliding { .. } => {
            Box::new(SlicedWindows::<K, T, S, F>::new(key, options, make)?)
        }
    })
}

/// The row can't be put into a window.
#[cold]
pub(super) fn refuse(error: WindowError) -> OperatorError {
    OperatorError::Function(Box::new(error))
}
