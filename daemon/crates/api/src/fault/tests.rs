//! Every refusal of the engine in the words of the API.

use std::collections::BTreeSet;

use purser_engine::settlement::NotUnpaid;

use super::*;

const REFUSED: [Refused; 10] = [
    Refused::ExistsWithDifferentOwner,
    Refused::ExistsWithDifferentKind,
    Refused::ExistsWithDifferentCurrency,
    Refused::ExistsWithDifferentAmount,
    Refused::Exists,
    Refused::ExistsWithDifferentConclusion,
    Refused::OutOfOrder,
    Refused::DebitKeyExists,
    Refused::BalanceOutOfRange,
    Refused::NoRoom,
];

const OTHERS: [RequestError; 41] = [
    RequestError::UnknownReference,
    RequestError::NotOwner,
    RequestError::NotOperator,
    RequestError::UnknownBatch,
    RequestError::ProviderNotConfigured,
    RequestError::Damaged,
    RequestError::AmountZero,
    RequestError::AmountTooLarge,
    RequestError::CurrencyNotAccepted,
    RequestError::UnknownReader,
    RequestError::NoReader,
    RequestError::ReaderInUse,
    RequestError::NoCard,
    RequestError::SeveralCards,
    RequestError::CardNotReadable,
    RequestError::PinNeeded,
    RequestError::PinThroughApiOff,
    RequestError::NoPinExpected,
    RequestError::LastTry,
    RequestError::LoadEnded,
    RequestError::OtherLoad,
    RequestError::OtherReference,
    RequestError::LoadNotConcluded,
    RequestError::TooManyLoads,
    RequestError::Changing,
    RequestError::NeverInDoubt,
    RequestError::LimitAmount,
    RequestError::LimitCount,
    RequestError::LimitTotal,
    RequestError::LimitAge,
    RequestError::QuotaSales,
    RequestError::TooManySales,
    RequestError::Stopping,
    RequestError::ParametersCurrency,
    RequestError::ParametersLimit,
    RequestError::ParametersStale,
    RequestError::ParametersSam,
    RequestError::NotUnpaid(NotUnpaid::NotExchanged),
    RequestError::NotUnpaid(NotUnpaid::NoClaimThere),
    RequestError::NotUnpaid(NotUnpaid::Paid),
    RequestError::NotUnpaid(NotUnpaid::PresentedBefore),
];

#[test]
fn every_refusal_has_a_name_of_its_own_a_cause_and_a_remedy() {
    let all = OTHERS.into_iter().chain(REFUSED.map(RequestError::from));
    let mut names = BTreeSet::new();
    for error in all {
        let fault = of_request(error);
        assert!(!fault.cause.is_empty() && !fault.remedy.is_empty(), "{error:?}");
        assert_eq!(fault.transient, error.is_transient(), "{error:?}");
        assert!(names.insert(fault.name.clone()), "{error:?} shares its name");
    }
}
