//! The money rules' stories, as far as pure code can tell them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod batches;
mod books;
mod claims;
mod dispositions;
mod loads;
mod permits;
mod queries;
mod support;
