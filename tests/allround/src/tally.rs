//! Operator state that isn't keyed: what each subtask has counted, as a list that is dealt out
//! when the job is restored, and as one that every subtask then sees whole.

use std::collections::BTreeSet;

use thalweg::prelude::*;
use thalweg::state::OperatorListState;

use crate::input::Row;
use crate::line::{self, ALERT};

/// What is totalled.
pub const KINDS: [&str; 2] = ["list", "union"];
/// So many rows make an element of the list.
const ROWS_PER_ELEMENT: u64 = 100;

/// The number of a kind, rows, and their sum.
pub type Part = (u64, u64, u64);

/// Counts the rows of a subtask in both kinds of lists.
pub struct Tally {
    /// Rows and sums, an element for some of each.
    list: OperatorListState<(u64, u64)>,
    /// A subtask's place, its rows, and their sum.
    union: OperatorListState<(u32, u64, u64)>,
}

impl Tally {
    /// Declares the state. Of the elements of all subtasks each keeps those of places that are its
    /// own, and the first one those of places that there are no more.
    ///
    /// # Errors
    /// It can't be restored, or a subtask's element is there twice.
    pub fn open(open: &mut ProcessOpen<'_>) -> FunctionResult<Self> {
        let list = open.state.list_state("list")?;
        let union = open.state.union_list_state::<(u32, u64, u64)>("union")?;
        let (index, parallelism) = (open.subtask.index, open.subtask.parallelism);
        let all = union.get(open.state)?.to_vec();
        let places: BTreeSet<u32> = all.iter().map(|element| element.0).collect();
        if places.len() != all.len() {
            return Err(format!("{ALERT}: a subtask's element is there twice: {all:?}").into());
        }
        let mine = |place: u32| place == index || (index == 0 && place >= parallelism);
        let mut kept = (index, 0, 0);
        for (_, rows, sum) in all.into_iter().filter(|element| mine(element.0)) {
            kept = (index, kept.1 + rows, kept.2 + sum);
        }
        union.update(open.state, vec![kept])?;
        Ok(Self { list, union })
    }
}

impl ProcessFunction<Row, Part> for Tally {
    fn process(
        &mut self,
        row: Row,
        context: &mut ProcessContext<'_>,
        _out: &mut Collector<'_, Part>,
    ) -> FunctionResult {
        let mut elements = self.list.get_mut(context.state())?;
        match elements.last_mut().filter(|element| element.0 < ROWS_PER_ELEMENT) {
            Some(element) => *element = (element.0 + 1, element.1 + row.value),
            None => elements.push((1, row.value)),
        }
        drop(elements);
        for element in self.union.get_mut(context.state())?.iter_mut() {
            *element = (element.0, element.1 + 1, element.2 + row.value);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, Part>,
    ) -> FunctionResult {
        let list = self.list.get(context.state())?;
        let list = list.iter().fold((0, 0), |sums, part| (sums.0 + part.0, sums.1 + part.1));
        out.collect((0, list.0, list.1));
        for &(_, rows, sum) in self.union.get(context.state())? {
            out.collect((1, rows, sum));
        }
        Ok(())
    }
}

/// Adds the parts of all subtasks up. They come when their input has ended, after the last
/// watermark, so that no timer could wait for them.
pub struct Total(OperatorListState<Part>);

impl Total {
    /// Declares the state.
    ///
    /// # Errors
    /// It can't be restored.
    pub fn open(open: &mut ProcessOpen<'_>) -> FunctionResult<Self> {
        Ok(Self(open.state.list_state("parts")?))
    }
}

impl ProcessFunction<Part, String> for Total {
    fn process(
        &mut self,
        part: Part,
        context: &mut ProcessContext<'_>,
        _out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        Ok(self.0.add(context.state(), part)?)
    }

    fn finish(
        &mut self,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let parts = self.0.get(context.state())?;
        for (number, kind) in KINDS.iter().enumerate() {
            let mine = parts.iter().filter(|part| part.0 == number as u64);
            let (rows, sum) = mine.fold((0, 0), |sums, part| (sums.0 + part.1, sums.1 + part.2));
            out.collect(line::total(kind, rows, sum));
        }
        Ok(())
    }
}
