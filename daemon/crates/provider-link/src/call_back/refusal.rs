//! What is refused, by name.

use std::collections::BTreeMap;

/// Why a message, a call-back or a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// No request of this terminal has the ticket.
    #[error("the call-back's ticket is of no request that this terminal knows")]
    UnknownTicket,
    /// A request is under way, and the answer with its ticket has not arrived yet: call again.
    #[error("the terminal has asked and not heard its ticket yet")]
    TicketNotYetKnown,
    /// The ticket's call-back is under way on another leg, or was answered before.
    #[error("the ticket has had its call-back")]
    SecondCallBack,
    /// The request with the ticket is over: it was cancelled, or nobody called in time.
    #[error("the call-back comes after its request is over")]
    StaleCallBack,
    /// The nonce was used before.
    #[error("the challenge was used before")]
    ReplayedChallenge,
    /// The request's number was used before.
    #[error("the request was made before and is over")]
    ReplayedRequest,
    /// The certificate or the message names another provider.
    #[error("the other side is not the provider that is meant")]
    WrongProvider,
    /// The certificate or the message names another terminal.
    #[error("the other side is not the terminal that is meant")]
    WrongTerminal,
    /// The number is known, with another purpose or subject.
    #[error("the number is known with other content")]
    OtherContent,
    /// The challenge came to the listener of a terminal that has a standing link, or the other way round.
    #[error("the call-back came by a way that this terminal does not use")]
    WrongMode,
    /// The terminal has a standing link that works.
    #[error("the terminal has a standing link already")]
    SecondStandingLink,
    /// The signature does not verify for this challenge on this leg.
    #[error("the answer's signature does not verify")]
    BadSignature,
    /// Nothing was asked on this leg, or something else.
    #[error("the answer is to no challenge of this leg")]
    NotAsked,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 13] = [
        Self::UnknownTicket,
        Self::TicketNotYetKnown,
        Self::SecondCallBack,
        Self::StaleCallBack,
        Self::ReplayedChallenge,
        Self::ReplayedRequest,
        Self::WrongProvider,
        Self::WrongTerminal,
        Self::OtherContent,
        Self::WrongMode,
        Self::SecondStandingLink,
        Self::BadSignature,
        Self::NotAsked,
    ];

    /// Its name, as it is told: stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownTicket => "UnknownTicket",
            Self::TicketNotYetKnown => "TicketNotYetKnown",
            Self::SecondCallBack => "SecondCallBack",
            Self::StaleCallBack => "StaleCallBack",
            Self::ReplayedChallenge => "ReplayedChallenge",
            Self::ReplayedRequest => "ReplayedRequest",
            Self::WrongProvider => "WrongProvider",
            Self::WrongTerminal => "WrongTerminal",
            Self::OtherContent => "OtherContent",
            Self::WrongMode => "WrongMode",
            Self::SecondStandingLink => "SecondStandingLink",
            Self::BadSignature => "BadSignature",
            Self::NotAsked => "NotAsked",
        }
    }

    /// True when the same thing may be tried again and succeed.
    pub fn is_transient(self) -> bool {
        match self {
            // On the standing link an answer can cross the next challenge.
            Self::TicketNotYetKnown | Self::SecondCallBack | Self::NotAsked => true,
            Self::UnknownTicket
            | Self::StaleCallBack
            | Self::ReplayedChallenge
            | Self::ReplayedRequest
            | Self::WrongProvider
            | Self::WrongTerminal
            | Self::OtherContent
            | Self::WrongMode
            | Self::SecondStandingLink
            | Self::BadSignature => false,
        }
    }

    /// True for what no fault of a line or a restart can bring about: an operator is told.
    pub fn is_alarm(self) -> bool {
        match self {
            Self::ReplayedChallenge
            | Self::WrongProvider
            | Self::WrongTerminal
            | Self::OtherContent
            | Self::WrongMode
            | Self::SecondStandingLink
            | Self::BadSignature => true,
            Self::UnknownTicket
            | Self::TicketNotYetKnown
            | Self::SecondCallBack
            | Self::StaleCallBack
            | Self::ReplayedRequest
            | Self::NotAsked => false,
        }
    }
}

/// How often each thing was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(BTreeMap<Refusal, u64>);

impl Refusals {
    pub(super) fn count(&mut self, refusal: Refusal) {
        let count = self.0.entry(refusal).or_default();
        *count = count.saturating_add(1);
    }

    /// How often this was refused.
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(&refusal).copied().unwrap_or(0)
    }

    /// What was refused at least once, and how often.
    pub fn all(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        self.0.iter().map(|(refusal, count)| (*refusal, *count))
    }
}
