//! A value and its expiry: what value, reducing and aggregating state hold for a key, and map
//! state for a map key.

use super::lifetime::Lifetime;

/// As large as the value alone where nothing expires.
pub(crate) struct Timed<V, L: Lifetime> {
    pub(crate) value: V,
    pub(crate) expiry: L::Expiry,
}

impl<V, L: Lifetime> Timed<V, L> {
    /// Whether it's to be treated as if it weren't there.
    #[inline]
    pub(crate) fn is_hidden(&self, life: &L) -> bool {
        life.hides_expired() && life.is_expired(&self.expiry)
    }
}

const _: () = assert!(size_of::<Timed<u64, super::Forever>>() == size_of::<u64>());
