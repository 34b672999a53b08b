//! The faults that a schedule may have.

/// What goes wrong in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Loss: a card's answer is lost on the line.
    AnswerLost,
    /// Loss: the removal of a card is not noticed.
    RemovalLost,
    /// Delay: a device or the journal stands still for a while.
    Delay,
    /// Delay: an answer comes after the engine has given it up.
    LateAnswer,
    /// Duplicate: the POS begins the same sale again.
    RequestRepeated,
    /// Duplicate: the same reference with another amount.
    ReferenceReused,
    /// Duplicate: a device tells an event twice.
    EventRepeated,
    /// Tear before the card executes a command.
    TornBefore,
    /// Tear after the card executed a command, before its answer.
    TornAfter,
    /// The card's answer is noise.
    Garbage,
    /// A counterfeit card with a wrong MAC2.
    WrongMac2,
    /// The card refuses a command with a status word.
    RefusedBefore,
    /// The card executes a command and answers with another status word.
    RefusedAfter,
    /// The card falls silent.
    Mute,
    /// The card's counter falls back.
    CounterBroken,
    /// The card's issuer blocks it.
    CardBlocked,
    /// A crash between two steps.
    Crash,
    /// A crash in an append that the disk kept.
    CrashKept,
    /// A crash in an append that the disk lost.
    CrashLost,
    /// A restart without the key of these cards.
    KeyLost,
    /// A restart of a terminal that has used up its serial numbers.
    NumbersUsedUp,
    /// A clean stop, and a start after it.
    Stop,
    /// The wall clock jumps 50 years ahead.
    ClockAhead,
    /// The wall clock jumps 50 years back, below the clock floor.
    ClockBack,
    /// The wall clock jumps by an hour and its time zone with it.
    ClockShifted,
    /// A cancel meets the sale wherever it is.
    CancelRace,
    /// The POS concludes a sale that is in doubt.
    ConcludeRace,
    /// The driver dies and comes back.
    DriverDied,
    /// The reader is unplugged and comes back.
    ReaderUnplugged,
    /// Another program holds the reader.
    ReaderBusy,
    /// A contact bounces.
    ContactBounces,
    /// The disk has no room, and later has.
    NoRoom,
    /// Another card is put in between two steps, or the card goes into another reader.
    CardSwapped,
    /// Another shop debits the card while it is away.
    PaidElsewhere,
    /// Another terminal loads the card while it is away.
    LoadedElsewhere,
    /// The buyer types a wrong PIN.
    WrongPin,
    /// The buyer presses cancel.
    PinCancelled,
    /// The pad answers that nobody typed in time.
    PinTimedOut,
    /// The pad cannot take a PIN.
    PadBroken,
    /// The buyer walks away with the card.
    BuyerLeaves,
    /// The PSAM loses its power.
    PsamCut,
    /// The PSAM is taken out, and put in again later.
    PsamOut,
    /// The PSAM answers noise, or nothing, or that it is in another state.
    PsamOdd,
    /// The PSAM refuses a command with a status word.
    PsamRefuses,
    /// The PSAM's driver has no time for a command, or is slow, or says no more than that it failed.
    PsamHeldUp,
    /// The PSAM locks itself.
    PsamLocked,
    /// Another terminal's PSAM is put in.
    PsamForeign,
    /// The PSAM's counter falls back.
    PsamRepeats,
    /// Loss: a message to the provider does not arrive; it may arrive late.
    MessageLost,
    /// Loss: the provider's answer.
    MessageUnanswered,
    /// Duplicate: a message arrives twice.
    MessageTwice,
    /// Delay: a message that was sent arrives, for the first time or again, whatever has happened since.
    MessageLate,
    /// Several messages are lost, one after the other.
    LineDown,
    /// Delay: the line stands still for a while.
    LineSlow,
    /// The provider's process dies between its commit and its answer.
    ProviderDied,
    /// A POS has a load voided, or changes its mind again.
    LoadCancelled,
    /// The holder asks for the load at another terminal.
    LoadElsewhere,
    /// The provider gives a batch up.
    BatchGivenUp,
    /// An operator of the shop has a batch voided.
    BatchVoided,
}

impl FaultKind {
    /// Every fault of a sale.
    pub const ALL: [Self; 48] = [
        Self::AnswerLost,
        Self::RemovalLost,
        Self::Delay,
        Self::LateAnswer,
        Self::RequestRepeated,
        Self::ReferenceReused,
        Self::EventRepeated,
        Self::TornBefore,
        Self::TornAfter,
        Self::Garbage,
        Self::WrongMac2,
        Self::RefusedBefore,
        Self::RefusedAfter,
        Self::Mute,
        Self::CounterBroken,
        Self::CardBlocked,
        Self::Crash,
        Self::CrashKept,
        Self::CrashLost,
        Self::KeyLost,
        Self::NumbersUsedUp,
        Self::Stop,
        Self::ClockAhead,
        Self::ClockBack,
        Self::ClockShifted,
        Self::CancelRace,
        Self::ConcludeRace,
        Self::DriverDied,
        Self::ReaderUnplugged,
        Self::ReaderBusy,
        Self::ContactBounces,
        Self::NoRoom,
        Self::CardSwapped,
        Self::PaidElsewhere,
        Self::LoadedElsewhere,
        Self::WrongPin,
        Self::PinCancelled,
        Self::PinTimedOut,
        Self::PadBroken,
        Self::BuyerLeaves,
        Self::PsamCut,
        Self::PsamOut,
        Self::PsamOdd,
        Self::PsamRefuses,
        Self::PsamHeldUp,
        Self::PsamLocked,
        Self::PsamForeign,
        Self::PsamRepeats,
    ];

    /// Every fault where both parties take part: those of the line and the provider, those that tear loads and sales, and those
    /// that keep either from ending. What else can go wrong with a sale is drawn where there are sales alone.
    pub const OF_PARTIES: [Self; 38] = [
        Self::MessageLost,
        Self::MessageUnanswered,
        Self::MessageTwice,
        Self::MessageLate,
        Self::LineDown,
        Self::LineSlow,
        Self::ProviderDied,
        Self::LoadCancelled,
        Self::LoadElsewhere,
        Self::BatchGivenUp,
        Self::BatchVoided,
        Self::AnswerLost,
        Self::RemovalLost,
        Self::Delay,
        Self::LateAnswer,
        Self::RequestRepeated,
        Self::EventRepeated,
        Self::TornBefore,
        Self::TornAfter,
        Self::Garbage,
        Self::RefusedBefore,
        Self::RefusedAfter,
        Self::Mute,
        Self::Crash,
        Self::CrashKept,
        Self::CrashLost,
        Self::Stop,
        Self::CancelRace,
        Self::ConcludeRace,
        Self::DriverDied,
        Self::ReaderUnplugged,
        Self::ReaderBusy,
        Self::NoRoom,
        Self::CardSwapped,
        Self::PaidElsewhere,
        Self::PinCancelled,
        Self::PinTimedOut,
        Self::BuyerLeaves,
    ];
}
