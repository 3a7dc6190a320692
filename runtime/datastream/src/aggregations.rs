//! Rolling sums, minima and maxima of a field, per key.

use std::ops::AddAssign;

use thalweg_core::{Key, Record};
use thalweg_operators::functions::KeySelector;

use crate::data_stream::DataStream;
use crate::keyed_stream::KeyedStream;

impl<K: Key, T: Record, S: KeySelector<T, K>> KeyedStream<K, T, S> {
    /// For each row the first row of its key, with `field` summed up so far.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let sales = vec![("tea".to_string(), 2u64), ("tea".to_string(), 3)];
    /// let sales = env.from_source(CollectionSource::new(sales), no_watermarks(), "sales");
    /// let totals = sales.key_by(|sale| sale.0.clone()).sum(|sale| &mut sale.1);
    /// assert_eq!(totals.map(|sale| sale.1).execute_and_collect()?, [2, 5]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sum<V: AddAssign + Clone>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduce(move |mut so_far, mut row| {
            *field(&mut so_far) += field(&mut row).clone();
            so_far
        })
        .name("Sum")
    }

    /// For each row the first row of its key, with the lowest `field` so far.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = vec![(0u8, 5i64), (0, 3), (0, 4)];
    /// let rows = env.from_source(CollectionSource::new(rows), no_watermarks(), "rows");
    /// let low = rows.key_by(|row| row.0).min(|row| &mut row.1);
    /// assert_eq!(low.map(|row| row.1).execute_and_collect()?, [5, 3, 3]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn min<V: PartialOrd + Clone + 'static>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.replacing(field, |new, old| new < old).name("Min")
    }

    /// For each row the first row of its key, with the highest `field` so far.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = vec![(0u8, 5i64), (0, 3), (0, 8)];
    /// let rows = env.from_source(CollectionSource::new(rows), no_watermarks(), "rows");
    /// let high = rows.key_by(|row| row.0).max(|row| &mut row.1);
    /// assert_eq!(high.map(|row| row.1).execute_and_collect()?, [5, 5, 8]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn max<V: PartialOrd + Clone + 'static>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.replacing(field, |new, old| new > old).name("Max")
    }

    /// For each row the row of its key that has the lowest `field` so far; the first of equals.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let bids = vec![("ann".to_string(), 5u64), ("bob".to_string(), 3)];
    /// let bids = env.from_source(CollectionSource::new(bids), no_watermarks(), "bids");
    /// let lowest = bids.key_by(|_| ()).min_by(|bid| &mut bid.1);
    /// assert_eq!(lowest.map(|bid| bid.0).execute_and_collect()?, ["ann", "bob"]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn min_by<V: PartialOrd>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduce(
            move |mut so_far, mut row| {
                if *field(&mut row) < *field(&mut so_far) { row } else { so_far }
            },
        )
        .name("MinBy")
    }

    /// For each row the row of its key that has the highest `field` so far; the first of equals.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let bids = vec![("ann".to_string(), 5u64), ("bob".to_string(), 8)];
    /// let bids = env.from_source(CollectionSource::new(bids), no_watermarks(), "bids");
    /// let highest = bids.key_by(|_| ()).max_by(|bid| &mut bid.1);
    /// assert_eq!(highest.map(|bid| bid.0).execute_and_collect()?, ["ann", "bob"]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn max_by<V: PartialOrd>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduce(
            move |mut so_far, mut row| {
                if *field(&mut row) > *field(&mut so_far) { row } else { so_far }
            },
        )
        .name("MaxBy")
    }

    fn replacing<V: PartialOrd + Clone + 'static>(
        &self,
        field: impl Fn(&mut T) -> &mut V + Send + Sync + 'static,
        better: fn(&V, &V) -> bool,
    ) -> DataStream<T> {
        self.reduce(move |mut so_far, mut row| {
            let new = field(&mut row);
            if better(new, field(&mut so_far)) {
                *field(&mut so_far) = new.clone();
            }
            so_far
        })
    }
}
