//! Tests that run whole applications.
