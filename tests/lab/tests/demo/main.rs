//! The demo, run as a user runs it.

#![cfg(feature = "stack")]

#[cfg(test)]
mod program;
