//! How values become one value: the contract of aggregating state and of windows. Not here: the
//! state that holds the accumulators.

use thalweg_core::Record;

/// Combines values of type `In` in an accumulator, and gets a result from it.
///
/// Accumulators are part of snapshots, so they are records; merging must give what adding all
/// values to one accumulator gives.
pub trait AggregateFunction<In>: Send + Sync + 'static {
    /// What is kept between values.
    type Accumulator: Record;
    /// What comes out.
    type Output;

    /// An accumulator of no values.
    fn create_accumulator(&self) -> Self::Accumulator;

    /// Adds a value.
    fn add(&self, value: &In, accumulator: &mut Self::Accumulator);

    /// The result of the values added so far.
    fn get_result(&self, accumulator: &Self::Accumulator) -> Self::Output;

    /// Adds the values of `other` to `accumulator`.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: &Self::Accumulator);
}
