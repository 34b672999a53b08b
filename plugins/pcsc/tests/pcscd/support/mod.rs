//! What the tests share.

pub(crate) mod apdu;
pub(crate) mod bench;
pub(crate) mod card;
pub(crate) mod namespace;
pub(crate) mod pcscd;
pub(crate) mod rival;

use std::time::Duration;

/// How long a condition may take on a machine under load; a test that waits as long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The reader that vpcd's first port is.
pub(crate) const FIRST_READER: &str = "Virtual PCD 00 00";
/// The reader that vpcd's second port is.
pub(crate) const SECOND_READER: &str = "Virtual PCD 00 01";
