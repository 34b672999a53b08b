//! Queries of sales in doubt (money rule C4): one exchange on a connection of its own, without a call-back, as an answer moves no
//! value.

use std::time::Duration;

use purser_engine::{ProviderFailure, QueryTold};
use purser_provider_link::{Query, QueryAnswer};
use serde::Deserialize;
use serde_json::json;

use super::failure::{self, names};
use super::key::verifies;
use super::link::Link;
use super::wire::Ask;

const DOING: &str = "asking about a sale in doubt";

/// What the provider answers: its last word with its signature, or neither.
#[derive(Debug, Deserialize)]
struct Told {
    answer: Option<String>,
    signature: Option<String>,
}

impl Link {
    /// Asks what became of a sale in doubt. An answer carries the provider's signature and is of exactly this query.
    ///
    /// # Errors
    /// [`ProviderFailure`] by name. The sale is in doubt as before: ask again, with the same query.
    ///
    /// # Cancel safety
    /// One that is dropped may have been answered; ask again.
    pub async fn query(&self, query: &Query) -> Result<QueryTold, ProviderFailure> {
        let time = Duration::from_millis(self.limits.leg_ms);
        let path = format!("/v1/queries/{}", query.operation);
        let body = json!({ "query": hex::encode(query.encode()) });
        let asked = async { self.line().await?.ask::<Told>(Ask::put(&path, body, time)).await }.await;
        let told = asked.map_err(|error| failure::of(DOING, &error))?;
        match (told.answer, told.signature) {
            (None, None) => Ok(QueryTold::NotYet),
            (Some(answer), Some(signature)) => self.last_word(query, &answer, &signature),
            (Some(_), None) | (None, Some(_)) => Err(bad("it is half an answer")),
        }
    }

    fn last_word(&self, query: &Query, answer: &str, signature: &str) -> Result<QueryTold, ProviderFailure> {
        let (Ok(document), Ok(signature)) = (hex::decode(answer), hex::decode(signature)) else {
            return Err(bad("it is not in hex"));
        };
        if !verifies(&self.pinned().signing_key, &document, &signature) {
            return Err(bad("its signature is not the provider's"));
        }
        let answer = QueryAnswer::decode(&document).map_err(|error| bad(&error.to_string()))?;
        if answer.is_of(query) {
            Ok(QueryTold::Answered { answer, signature })
        } else {
            Err(bad("it is of another query"))
        }
    }
}

fn bad(why: &str) -> ProviderFailure {
    failure::lasting(
        names::BAD_QUERY_ANSWER,
        format!("{DOING}: the answer is not taken: {why}"),
    )
}
