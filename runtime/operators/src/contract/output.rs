//! Where an operator puts what it emits.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::element::{Control, StreamElement, Watermark};
use thalweg_core::{Batch, Columns, Record, RowType};

/// Rows an operator emits before it counts as full. Large enough that per-batch costs vanish,
/// small enough that a batch of small rows stays in the processor's second-level cache.
pub const OUTPUT_ROWS: usize = 4096;

/// Names a second output of an operator and the type of its rows.
///
/// Two of the same name in one operator are the same output.
#[derive(Debug)]
pub struct OutputTag<T> {
    name: Arc<str>,
    row: PhantomData<fn() -> T>,
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), row: PhantomData }
    }
}

impl<T: Record> OutputTag<T> {
    /// The tag of the side output of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), row: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The type of its rows.
    pub fn row_type(&self) -> RowType {
        RowType::of::<T>()
    }
}

/// What an operator has emitted and nobody has carried away yet.
#[derive(Debug, Default)]
pub struct Output {
    main: VecDeque<StreamElement>,
    sides: VecDeque<(Arc<str>, Batch)>,
    rows: usize,
}

impl Output {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the operator has to stop at the next place where it can.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows >= OUTPUT_ROWS
    }

    /// How many more rows it takes before it is full.
    #[inline]
    pub fn room(&self) -> usize {
        OUTPUT_ROWS.saturating_sub(self.rows)
    }

    /// Emits a batch. An empty one is dropped.
    pub fn emit(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.rows += batch.len();
            self.main.push_back(StreamElement::Batch(batch));
        }
    }

    /// Emits values with their columns.
    pub fn emit_rows<T: Record>(&mut self, values: Vec<T>, columns: Columns) {
        if !values.is_empty() {
            self.emit(Batch::new(values, columns));
        }
    }

    /// Emits a batch at a side output.
    pub fn emit_side(&mut self, side: &Arc<str>, batch: Batch) {
        if !batch.is_empty() {
            self.rows += batch.len();
            self.sides.push_back((side.clone(), batch));
        }
    }

    /// Emits a watermark; for operators that make their own, and for sources.
    pub fn emit_watermark(&mut self, watermark: Watermark) {
        self.main.push_back(StreamElement::Control(Control::Watermark(watermark)));
    }

    /// Emits another control element; for sources.
    pub fn emit_control(&mut self, control: Control) {
        self.main.push_back(StreamElement::Control(control));
    }

    /// The next side batch to be carried away. To be emptied before `next_main`, so that no side
    /// row comes behind a watermark that was emitted after it.
    pub fn next_side(&mut self) -> Option<(Arc<str>, Batch)> {
        let (side, batch) = self.sides.pop_front()?;
        self.rows -= batch.len().min(self.rows);
        Some((side, batch))
    }

    /// The next element to be carried away.
    pub fn next_main(&mut self) -> Option<StreamElement> {
        let element = self.main.pop_front()?;
        if let StreamElement::Batch(batch) = &element {
            self.rows -= batch.len().min(self.rows);
        }
        Some(element)
    }

    /// Whether everything was carried away.
    pub fn is_empty(&self) -> bool {
        self.main.is_empty() && self.sides.is_empty()
    }
}
