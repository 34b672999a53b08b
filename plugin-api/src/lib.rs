//! The contract between Purser and its device drivers.
//!
//! `include/purser/driver.h` is the specification. [`abi`] mirrors it for Rust, field by field; [`sdk`] lets a driver
//! author implement it with safe traits. Rules are cited by their names in the header, such as `[C-6]`.

#[allow(
    unsafe_code,
    reason = "the C side of the contract: raw pointers from the driver host"
)]
pub mod abi;
#[allow(unsafe_code, reason = "wraps the C side of the contract in safe traits")]
pub mod sdk;

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
