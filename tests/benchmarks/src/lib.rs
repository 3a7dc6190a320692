//! The benchmark table.
