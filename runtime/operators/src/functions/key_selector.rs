//! The key of a row, as the exchange and the keyed operator both need it.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::{Batch, Key, Record};

/// Gives a row's key.
pub trait KeySelector<T, K>: Fn(&T) -> K + Send + Sync + 'static {}

impl<T, K, F: Fn(&T) -> K + Send + Sync + 'static> KeySelector<T, K> for F {}

/// Computes the hashes of the keys of a batch, without knowing its type outside.
pub trait KeyHashes: Send + Sync {
    /// One hash per row left in the batch.
    fn hashes(&self, batch: &Batch, hashes: &mut Vec<u64>) -> Result<(), RowTypeMismatch>;
}

struct Typed<T, K, F> {
    key: Arc<F>,
    rows: PhantomData<fn(T) -> K>,
}

impl<T: Record, K: Key, F: KeySelector<T, K>> KeyHashes for Typed<T, K, F> {
    fn hashes(&self, batch: &Batch, hashes: &mut Vec<u64>) -> Result<(), RowTypeMismatch> {
        let values = batch.values::<T>()?;
        hashes.extend(values.iter().map(|value| (self.key)(value).key_hash()));
        Ok(())
    }
}

impl dyn KeyHashes {
    /// The hashes of the keys that `key` selects.
    pub fn of<T: Record, K: Key, F: KeySelector<T, K>>(key: Arc<F>) -> Arc<dyn KeyHashes> {
        Arc::new(Typed { key, rows: PhantomData })
    }
}
