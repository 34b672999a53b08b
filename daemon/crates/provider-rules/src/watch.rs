//! Who brings too many forged claims (money rule T3).

/// How many forgeries are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLimits {
    /// So many tell an operator.
    pub alarm: u32,
    /// So many of one terminal suspend it; never fewer than `alarm`.
    pub suspend_terminal: u32,
    /// So many of one key version, from terminals of at least two merchants, block it. One merchant alone, with however many
    /// tills, cannot take a key version away from every shop.
    pub block_key_version: u32,
}

impl Default for WatchLimits {
    /// A damaged journal brings a few; an attack brings many.
    fn default() -> Self {
        Self {
            alarm: 3,
            suspend_terminal: 10,
            block_key_version: 50,
        }
    }
}

/// The forgeries of one terminal or one key version since a person last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Forgeries {
    /// How many. For a key version: of each terminal at most [`WatchLimits::suspend_terminal`] count, and of each merchant at
    /// most half of [`WatchLimits::block_key_version`].
    pub count: u32,
    /// From the terminals of how many merchants, for a key version.
    pub merchants: u32,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Nothing.
    Nothing,
    /// An operator is told.
    Alarm,
    /// The terminal is suspended: its batches are voided until a person has looked.
    SuspendTerminal,
    /// The key version is blocked.
    BlockKeyVersion,
}

/// The measure after one more forgery of a terminal.
pub fn of_terminal(forgeries: Forgeries, limits: &WatchLimits) -> Measure {
    if forgeries.count >= limits.suspend_terminal {
        Measure::SuspendTerminal
    } else if forgeries.count >= limits.alarm {
        Measure::Alarm
    } else {
        Measure::Nothing
    }
}

/// The measure after one more forgery under a key version.
pub fn of_key_version(forgeries: Forgeries, limits: &WatchLimits) -> Measure {
    if forgeries.count >= limits.block_key_version && forgeries.merchants >= 2 {
        Measure::BlockKeyVersion
    } else if forgeries.count >= limits.alarm {
        Measure::Alarm
    } else {
        Measure::Nothing
    }
}

/// May a terminal ask for anything now?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TerminalStanding {
    /// Yes.
    Enrolled,
    /// Not until a person has looked; its claims are held, its batches voided.
    Suspended,
    /// Never again; its claims can come from another terminal of the merchant.
    Revoked,
}

impl TerminalStanding {
    /// After a measure. What a person revoked stays revoked.
    #[must_use]
    pub fn after(self, measure: Measure) -> Self {
        match (self, measure) {
            (Self::Enrolled, Measure::SuspendTerminal) => Self::Suspended,
            (standing, _) => standing,
        }
    }
}
