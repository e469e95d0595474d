//! Tests of the whole system: the real program, its twins and its terminals as processes of their own.
