//! The tests of provider-link, in one program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod attacks;
mod checks;
mod documents;
mod hot_list;
mod line;
mod sums;
mod support;
mod tables;
