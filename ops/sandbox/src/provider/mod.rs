//! The provider part of the sandbox.
