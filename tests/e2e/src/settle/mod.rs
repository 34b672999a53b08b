//! A settlement, the void of one, and a load: cut at every call of either program that writes, and what both books say afterwards.
//!
//! * [`shop`]: a shop with claims and its provider, on copies of folders that were prepared once.
//! * [`life`]: one settlement, watched or cut.
//! * [`load`]: the same of a load.
//! * [`line_faults`]: both over a [`line`] that fails at any of its records.
//! * [`judge`](mod@judge): what must hold after whatever happened.
//! * [`matrix`]: all of them, counted.

mod judge;
pub mod life;
pub mod line;
pub mod line_faults;
pub mod load;
pub mod matrix;
pub mod shop;
