//! The crate from outside: scripted cards, stored bytes, credentials.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod apdus;
mod credential;
mod exchange;
mod fuzzing;
mod loads;
mod pin;
mod psam;
mod recover;
mod sam;
mod status;
mod stored;
mod support;
