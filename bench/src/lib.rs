//! guichet-bench.
