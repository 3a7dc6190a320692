//! Thalweg: a stateful stream processor. What an application depends on.
