//! Tests on real nodes.
