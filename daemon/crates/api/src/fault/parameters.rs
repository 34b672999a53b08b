//! Words about what the provider's parameters do not permit.

use purser_engine::RequestError;

use crate::model::ErrorName;

/// A refusal by the parameters.
pub(super) fn words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::ParametersCurrency => (
            ErrorName::ParametersCurrency,
            "the provider's parameters do not list this currency",
            "use another currency; the provider's operator can list it (purser-provider parameters currency)",
        ),
        RequestError::ParametersStale => (
            ErrorName::ParametersStale,
            "nothing was heard from the provider for long, and the price is above its limit for that time",
            "take another way to pay, or mend the line to the provider; Provider tells when it was heard last",
        ),
        RequestError::ParametersSam => (
            ErrorName::ParametersSam,
            "the provider's parameters permit no software SAM",
            "use a PSAM; the provider's operator can permit it (purser-provider parameters set --software-sam allow)",
        ),
        _ => (
            ErrorName::ParametersLimit,
            "the price is above the provider's limit for one sale",
            "take another way to pay; the provider's operator can raise it (purser-provider parameters currency)",
        ),
    }
}
