//! What people and scripts tell a card or a PSAM: one line each, one line back.
//!
//! To a purse card:
//!
//! | line | does |
//! | --- | --- |
//! | `insert` | puts the card into the reader |
//! | `remove` | takes it out |
//! | `tear before INS`, `tear after INS` | the next INS tears, before or after the card executes it |
//! | `fault NAME [INS]` | the next INS (else `debit`) goes wrong: `garbage`, `wrong-mac2`, `mute`, `mute-after`, `status=SW`, `status-after=SW` |
//! | `clear` | takes back the faults that have not struck |
//! | `refill N` | a load of N minor units elsewhere; the card must be away |
//! | `pay-elsewhere N` | a purchase of N minor units in another shop; the card must be away |
//! | `life usable`, `life blocked`, `life dead` | the issuer blocks or unblocks the application |
//! | `status` | where the card is and what is on it |
//! | `quit` | takes the card away and ends |
//!
//! To a PSAM: `insert`, `remove`, `tear …` (it loses its power), `clear`, `status` and `quit` likewise, and
//!
//! | line | does |
//! | --- | --- |
//! | `fault NAME [INS]` | the next INS (else `initialize`) goes wrong: `lose-power` (once it has answered), `garbage`, `wrong-mac1`, `repeat-sn`, `mute`, `status=SW`, `status-after=SW` |
//! | `unlock` | its issuer takes the lock back that wrong MAC2 made |
//!
//! INS of a purse card is a name (`debit`, `credit`, `initialize`, `select`, `verify`, `balance`, `prove`, `read-binary`,
//! `read-record`, `response`), `any`, or two hexadecimal digits; of a PSAM `initialize` (8070), `credit` (8072),
//! `select`, `read-binary`, `response`, `any`, or digits. An answer starts with `ok` or `error`.

mod command;
mod psam;
mod socket;

pub use command::{ControlCommand, NotACommand};
pub use psam::PsamCommand;
pub use socket::{Answer, ControlSocket, Led, execute};
