//! Graphs and what becomes of them.
