//! Loads at one engine, without cards: what is asked of the provider, what is recorded and what is told. With cards they run in the
//! simulator (`sim loads`).

mod flow;
mod requests;
mod till;
