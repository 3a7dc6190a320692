//! Handles: indices with types, that user functions copy and keep.

/// Makes of a struct with `index: u32` and `types: PhantomData` a handle that can be copied and
/// shown whatever its types can do.
macro_rules! handle {
    ($name:ident < $($parameter:ident),+ >) => {
        impl<$($parameter),+> $name<$($parameter),+> {
            pub(super) fn new(index: usize) -> Self {
                $name { index: index as u32, types: std::marker::PhantomData }
            }
        }

        impl<$($parameter),+> Clone for $name<$($parameter),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($parameter),+> Copy for $name<$($parameter),+> {}

        impl<$($parameter),+> std::fmt::Debug for $name<$($parameter),+> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.index)
            }
        }
    };
}
pub(crate) use handle;
