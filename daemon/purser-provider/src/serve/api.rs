//! The routes. The OpenAPI document beside the sources says the same, and a test compares them.

use std::sync::Arc;

use hyper::body::Bytes;
use purser_provider_link::{BatchId, LoadId};
use serde_json::json;

use super::http::Reply;
use super::leg::Leg;
use super::{
    Shared, batches, call_back, enrol, hot_list, http, loads, parameters, peer, permits, queries, voids,
};
use crate::authority::now_unix_seconds;
use crate::fault::{Failure, Fault};
use crate::store::Store;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Enrol,
    Renew,
    Provider,
    Request,
    Call,
    Answer,
    RefuseCall,
    ShowLoad,
    Attempt,
    Loaded,
    BeginVoid,
    Void,
    ShowBatch,
    Announce,
    Page,
    Verdicts,
    Permit,
    VoidBatch,
    HotList,
    AcknowledgeHotList,
    Parameters,
    Query,
}

impl Endpoint {
    /// True for what leads to the end of a batch that was sealed: a revoked terminal is let in for it (money rule B3).
    pub(crate) fn is_of_an_end(self) -> bool {
        match self {
            Self::Provider
            | Self::Request
            | Self::Call
            | Self::Answer
            | Self::RefuseCall
            | Self::ShowBatch
            | Self::Announce
            | Self::Verdicts
            | Self::Permit
            | Self::VoidBatch => true,
            Self::Enrol
            | Self::Renew
            | Self::ShowLoad
            | Self::Attempt
            | Self::Loaded
            | Self::BeginVoid
            | Self::Void
            | Self::Page
            | Self::HotList
            | Self::AcknowledgeHotList
            | Self::Parameters
            | Self::Query => false,
        }
    }
}

/// Method, path and endpoint of each route.
pub(crate) const ROUTES: &[(&str, &str, Endpoint)] = &[
    ("POST", "/v1/enrolment", Endpoint::Enrol),
    ("POST", "/v1/renewal", Endpoint::Renew),
    ("GET", "/v1/provider", Endpoint::Provider),
    ("POST", "/v1/requests", Endpoint::Request),
    ("GET", "/v1/call", Endpoint::Call),
    ("POST", "/v1/call/answer", Endpoint::Answer),
    ("POST", "/v1/call/refusal", Endpoint::RefuseCall),
    ("GET", "/v1/loads/{load}", Endpoint::ShowLoad),
    ("PUT", "/v1/loads/{load}/attempts/{number}", Endpoint::Attempt),
    ("PUT", "/v1/loads/{load}/tac", Endpoint::Loaded),
    ("POST", "/v1/loads/{load}/void", Endpoint::BeginVoid),
    ("PUT", "/v1/loads/{load}/void", Endpoint::Void),
    ("GET", "/v1/batches/{batch}", Endpoint::ShowBatch),
    ("PUT", "/v1/batches/{batch}", Endpoint::Announce),
    ("PUT", "/v1/batches/{batch}/pages/{number}", Endpoint::Page),
    ("GET", "/v1/batches/{batch}/verdicts/{number}", Endpoint::Verdicts),
    ("POST", "/v1/batches/{batch}/permit", Endpoint::Permit),
    ("POST", "/v1/batches/{batch}/void", Endpoint::VoidBatch),
    ("GET", "/v1/hot-list", Endpoint::HotList),
    (
        "POST",
        "/v1/hot-list/acknowledgement",
        Endpoint::AcknowledgeHotList,
    ),
    ("GET", "/v1/parameters", Endpoint::Parameters),
    ("PUT", "/v1/queries/{operation}", Endpoint::Query),
];

/// The route of a request, and what stands in the path's places.
pub(crate) fn find(method: &str, path: &str) -> Result<(Endpoint, Vec<String>), Failure> {
    let mut is_path_known = false;
    for (known, template, endpoint) in ROUTES {
        if let Some(parameters) = fits(template, path) {
            if *known == method {
                return Ok((*endpoint, parameters));
            }
            is_path_known = true;
        }
    }
    let remedy = "see the provider's OpenAPI document";
    Err(if is_path_known {
        Fault::with_status(405, "NoSuchMethod", "the path has no such method", remedy).into()
    } else {
        Fault::unknown("NoSuchPath", "there is no such path", remedy).into()
    })
}

/// The methods of a path, as `Allow` lists them (RFC 9110 §10.2.1).
pub(crate) fn methods(path: &str) -> String {
    let of_path = ROUTES
        .iter()
        .filter(|(_, template, _)| fits(template, path).is_some());
    of_path.map(|(method, ..)| *method).collect::<Vec<_>>().join(", ")
}

fn fits(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (template.next(), path.next()) {
            (None, None) => return Some(parameters),
            (Some(place), Some(found)) if place.starts_with('{') => parameters.push(found.to_owned()),
            (Some(expected), Some(found)) if expected == found => {}
            _ => return None,
        }
    }
}

/// Does what a request asks.
pub(crate) async fn call(
    shared: Arc<Shared>,
    leg: Arc<Leg>,
    endpoint: Endpoint,
    parameters: Vec<String>,
    body: Bytes,
) -> Result<Reply, Failure> {
    let peer = leg.peer;
    let load = || Ok::<_, Failure>(LoadId(parameter(&parameters, 0, hex_id)?));
    let batch = || Ok::<_, Failure>(BatchId(parameter(&parameters, 0, hex_id)?));
    let number = || parameter(&parameters, 1, |it| it.parse().ok());
    match endpoint {
        Endpoint::Enrol => {
            let asked = http::object(&body)?;
            shared
                .with_store(move |shared, store| enrol::enrol(shared, store, &asked))
                .await
        }
        Endpoint::Renew => {
            let asked = http::object(&body)?;
            shared
                .with_store(move |shared, store| enrol::renew(shared, store, peer, &asked))
                .await
        }
        Endpoint::Provider => {
            shared
                .with_reader(move |shared, store| provider(shared, store, &leg))
                .await
        }
        Endpoint::Request => call_back::request(&shared, &leg, http::object(&body)?).await,
        Endpoint::Call => call_back::call(&shared, &leg).await,
        Endpoint::Answer => call_back::answer(&shared, &leg, http::object(&body)?).await,
        Endpoint::RefuseCall => call_back::refused(&shared, &leg, http::object(&body)?).await,
        Endpoint::ShowLoad => loads::show(&shared, &leg, load()?).await,
        Endpoint::Attempt => {
            let number = parameter(&parameters, 1, |it| it.parse().ok())?;
            loads::attempt(&shared, &leg, load()?, number, http::object(&body)?).await
        }
        Endpoint::Loaded => loads::loaded(&shared, &leg, load()?, http::object(&body)?).await,
        Endpoint::BeginVoid => loads::begin_void(&shared, &leg, load()?).await,
        Endpoint::Void => loads::void(&shared, &leg, load()?, http::object(&body)?).await,
        Endpoint::ShowBatch => batches::show(&shared, &leg, batch()?).await,
        Endpoint::Announce => batches::announce(&shared, &leg, batch()?, http::object(&body)?).await,
        Endpoint::Page => batches::page(&shared, &leg, batch()?, number()?, http::object(&body)?).await,
        Endpoint::Verdicts => batches::verdicts(&shared, &leg, batch()?, number()?).await,
        Endpoint::Permit => permits::permit(&shared, &leg, batch()?).await,
        Endpoint::VoidBatch => voids::void(&shared, &leg, batch()?, http::object(&body)?).await,
        Endpoint::Parameters => parameters::show(&shared, &leg).await,
        Endpoint::HotList => hot_list::show(&shared, &leg).await,
        Endpoint::AcknowledgeHotList => hot_list::acknowledge(&shared, &leg, http::object(&body)?).await,
        Endpoint::Query => {
            let operation = parameter(&parameters, 0, hex_id)?;
            queries::ask(&shared, &leg, operation, http::object(&body)?).await
        }
    }
}

fn parameter<T>(parameters: &[String], place: usize, read: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
    let value = parameters.get(place).and_then(|it| read(it));
    let cause = "the path has a number that is none";
    value.ok_or_else(|| Fault::invalid("BadPath", cause, "see the provider's OpenAPI document").into())
}

fn hex_id(digits: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let is_lower = !digits.bytes().any(|it| it.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(bytes)
}

fn provider(shared: &Shared, store: &Store, leg: &Leg) -> Result<Reply, Failure> {
    let peer = peer::known(store.reader(), leg.peer)?;
    Ok(Reply::ok(json!({
        "provider": shared.provider.name,
        "terminal": peer.name.as_str(),
        "role": peer.role,
        "call_back": enrol::call_back(peer.address.as_deref()),
        "signing_key": hex::encode(shared.authority.signing_public_key()),
        "certificate_expires_at": peer.certificate_expires_at,
        "time": now_unix_seconds(),
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_the_routes_that_are_served() {
        let document: serde_json::Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods
                .as_object()
                .unwrap()
                .keys()
                .filter(|it| *it != "parameters")
            {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
        let served = ROUTES
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        assert_eq!(documented, served.collect());
    }

    #[test]
    fn what_is_no_route_is_told_apart_from_another_method() {
        let name = |method, path| match find(method, path) {
            Err(Failure::Refused(fault)) => fault.name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name("GET", "/v1/enrolment"), "NoSuchMethod");
        assert_eq!(name("GET", "/v1/enrolment/"), "NoSuchPath");
        assert_eq!(name("GET", "/"), "NoSuchPath");
    }
}
