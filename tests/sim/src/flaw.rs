//! Parts of the simulated world that break one rule each, to prove that the checks can fail.

/// Which rule a part of the world breaks. A simulator that passes with any of these on checks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Every part keeps its rules.
    #[default]
    None,
    /// The store answers before it has synced, and a crash takes what it answered for.
    StoreAnswersBeforeSync,
    /// The store forgets the references of sales that are over, for finds and for commits.
    StoreForgetsSales,
    /// The store tells no highest terminal serial number, and takes the same debit key again.
    StoreForgetsTerminalSn,
    /// The store keeps claims out of its books.
    StoreMiscounts,
    /// The store keeps another evidence than it was given.
    StoreSpoilsEvidence,
    /// The reader sends each DEBIT twice.
    ReaderRepeatsDebit,
    /// The reader sends each VERIFY twice.
    ReaderRepeatsVerify,
    /// The reader leaves the card its power when it disconnects.
    ReaderKeepsPower,
    /// The reader does not tell of a card that is put in while it is there.
    ReaderHidesCards,
    /// The reader never says that it has disconnected.
    ReaderSwallowsAnswers,
    /// The card loses a minor unit more than it is debited.
    CardLosesMoney,
    /// The door to the POS tells a sale in doubt as one that was not debited.
    DoorGuesses,
    /// The door to the POS drops every answer to an attach.
    DoorDropsAnswers,
    /// The PSAM forgets its counter with its power, and the store takes a terminal SN again for another card.
    PsamRepeatsNumbers,
    /// The PSAM finds every MAC2 right: a sale is paid without a check.
    PsamAcceptsAnyMac2,
    /// The PSAM's reader says that the PSAM lost its power when it is to check a MAC2, and it has not.
    PsamReaderLies,
    /// The store takes every seal, and tells a start of no batch.
    StoreForgetsBatches,
    /// The journal's reader leaves claims out of batches whose range they are in: they are lost at the exchange.
    ReaderLosesClaims,
    /// The card takes each load twice.
    CardCreditsTwice,
    /// The door to the POS tells a load that is owed as one that is void.
    DoorVoidsLoads,
    /// The provider pays a batch once more whenever it is asked for its permit again.
    ProviderPaysAgain,
    /// The provider voids a batch that has its permit.
    ProviderVoidsPermitted,
    /// The provider voids a load whose MAC2 has left it, without the card's proof.
    ProviderVoidsWithoutProof,
    /// The provider answers an attempt before it has stored it, and its crash takes what it answered for.
    ProviderForgetsRelease,
}

impl Flaw {
    /// Every flaw that schedules of sales find.
    pub const ALL: [Self; 16] = [
        Self::StoreAnswersBeforeSync,
        Self::StoreForgetsSales,
        Self::StoreForgetsTerminalSn,
        Self::StoreMiscounts,
        Self::StoreSpoilsEvidence,
        Self::ReaderRepeatsDebit,
        Self::ReaderRepeatsVerify,
        Self::ReaderKeepsPower,
        Self::ReaderHidesCards,
        Self::ReaderSwallowsAnswers,
        Self::CardLosesMoney,
        Self::DoorGuesses,
        Self::DoorDropsAnswers,
        Self::PsamRepeatsNumbers,
        Self::PsamAcceptsAnyMac2,
        Self::PsamReaderLies,
    ];

    /// Those that take both parties to show.
    pub const OF_PARTIES: [Self; 9] = [
        Self::StoreAnswersBeforeSync,
        Self::StoreForgetsBatches,
        Self::ReaderLosesClaims,
        Self::CardCreditsTwice,
        Self::DoorVoidsLoads,
        Self::ProviderPaysAgain,
        Self::ProviderVoidsPermitted,
        Self::ProviderVoidsWithoutProof,
        Self::ProviderForgetsRelease,
    ];
}
