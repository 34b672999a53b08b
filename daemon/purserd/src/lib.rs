//! The Purser daemon: configuration, wiring, and the one task that owns the engine.

pub mod cli;
pub mod config;
pub mod counting;
pub mod credential;
mod doctor;
pub mod exit;
pub mod generation;
mod journal_verbs;
mod log;
pub mod provider;
mod run;
pub mod unpaid;
pub mod verbs;
