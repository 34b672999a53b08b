//! The stack itself: started, awaited, killed, restarted, and clear about what went wrong.

#![cfg(feature = "stack")]

#[cfg(test)]
mod life;
#[cfg(test)]
mod sale;
