//! The settlement machine at one engine, with its answers in a certain order.

mod again;
mod flow;
mod making;
mod refusals;
mod till;
