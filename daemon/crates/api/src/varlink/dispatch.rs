//! From a method's name and parameters to the service, and back to JSON.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde_json::{Value, json};

use crate::access::Caller;
use crate::fault::invalid_argument;
use crate::model::{
    BatchArguments, BatchItemsArguments, BatchesArguments, BeginLoadArguments, BeginSaleArguments,
    ConcludeArguments, DriverArguments, EventsArguments, Fault, INTERFACE, JournalArguments,
    ProvidePinArguments, RecordDriverArguments, SettleArguments, VARLINK_CONTRACT, WatchArguments,
    WatchReply,
};
use crate::parse::{self, arguments};
use crate::service::Service;
use crate::status::StatusWatch;
use crate::watch::Watch;

/// The standard interface that every Varlink service has.
const STANDARD: &str = "org.varlink.service";

/// What a call is answered with.
pub(super) enum Answer {
    /// One reply.
    Reply(Value),
    /// A stream of replies.
    Stream(Box<Stream>),
    /// An error.
    Error(ErrorReply),
}

/// What a call with `more` is answered with.
pub(super) enum Stream {
    /// Events.
    Sales(Watch),
    /// How the daemon does.
    Status(StatusWatch),
}

impl Stream {
    /// The next reply. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Value, Fault> {
        match self {
            Self::Sales(watch) => Ok(to_value(WatchReply {
                event: watch.next().await?,
            })),
            Self::Status(watch) => Ok(to_value(watch.next().await)),
        }
    }
}

/// An error as it goes over the wire.
#[derive(Debug, Serialize)]
pub(super) struct ErrorReply {
    error: String,
    parameters: Value,
}

impl ErrorReply {
    fn standard(name: &str, parameters: Value) -> Self {
        Self {
            error: format!("{STANDARD}.{name}"),
            parameters,
        }
    }
}

impl From<Fault> for ErrorReply {
    fn from(fault: Fault) -> Self {
        Self {
            error: format!("{INTERFACE}.{}", fault.name),
            parameters: serde_json::to_value(fault).unwrap_or_default(),
        }
    }
}

/// One call as it came in.
pub(super) struct Incoming {
    /// The full name of the method.
    pub(super) method: String,
    /// The parameters; an empty object if there were none.
    pub(super) parameters: Value,
    /// Whether the caller asks for more than one reply.
    pub(super) more: bool,
    /// The descriptors that came with it.
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Answers one call.
pub(super) async fn answer(service: &Service, caller: &Caller, call: Incoming) -> Answer {
    match call.method.rsplit_once('.') {
        Some((INTERFACE, _)) => ours(service, caller, call).await,
        Some((STANDARD, name)) => standard(service, name, &call.parameters),
        Some((interface, _)) => Answer::Error(ErrorReply::standard(
            "InterfaceNotFound",
            json!({ "interface": interface }),
        )),
        None => Answer::Error(method_not_found(&call.method)),
    }
}

fn method_not_found(method: &str) -> ErrorReply {
    ErrorReply::standard("MethodNotFound", json!({ "method": method }))
}

fn standard(service: &Service, name: &str, parameters: &Value) -> Answer {
    match name {
        "GetInfo" => Answer::Reply(json!({
            "vendor": "Purser",
            "product": "purserd",
            "version": service.info().version,
            "url": "",
            "interfaces": [STANDARD, INTERFACE],
        })),
        "GetInterfaceDescription" => match parameters.get("interface").and_then(Value::as_str) {
            Some(INTERFACE) => Answer::Reply(json!({ "description": VARLINK_CONTRACT })),
            Some(STANDARD) => Answer::Reply(json!({
                "description": zlink::varlink_service::DESCRIPTION.to_string(),
            })),
            Some(other) => Answer::Error(ErrorReply::standard(
                "InterfaceNotFound",
                json!({ "interface": other }),
            )),
            None => Answer::Error(ErrorReply::standard(
                "InvalidParameter",
                json!({ "parameter": "interface" }),
            )),
        },
        _ => Answer::Error(method_not_found(&format!("{STANDARD}.{name}"))),
    }
}

async fn ours(service: &Service, caller: &Caller, call: Incoming) -> Answer {
    let method = call.method.clone();
    let name = method.rsplit('.').next().unwrap_or_default();
    let answered = match name {
        "Watch" => return watch(service, caller, call).await,
        "Status" if call.more && is_empty(&call.parameters) => {
            return Answer::Stream(Box::new(Stream::Status(service.watch_status())));
        }
        "ProvidePin" => provide_pin(service, caller, call).await,
        "RecordDriver" => record_driver(service, caller, call).await,
        "GetInfo" | "Status" | "Devices" | "Drivers" | "Provider" | "Totals" | "Head" => {
            without_arguments(service, caller, name, call.parameters).await
        }
        _ => with_arguments(service, caller, name, call.parameters).await,
    };
    match answered {
        Some(Ok(reply)) => Answer::Reply(reply),
        Some(Err(fault)) => Answer::Error(fault.into()),
        None => Answer::Error(method_not_found(&method)),
    }
}

/// Reads bytes as the arguments of each method, as a hostile client may send them. For fuzzing: it must not panic.
pub fn fuzz(data: &[u8]) {
    let Ok(given) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(ask) = arguments::<BeginSaleArguments>(given.clone()) {
        drop((parse::reference(&ask.reference), parse::amount(&ask.amount)));
        drop(parse::optional_reader(ask.reader.as_deref()));
    }
    if let Ok(ask) = arguments::<ConcludeArguments>(given.clone()) {
        drop((
            parse::reference(&ask.reference),
            parse::conclusion(&ask.conclusion),
        ));
    }
    if let Ok(ask) = arguments::<EventsArguments>(given.clone()) {
        drop((
            parse::limit(ask.limit),
            parse::optional_reference(ask.reference.as_deref()),
        ));
    }
    if let Ok(ask) = arguments::<BatchItemsArguments>(given.clone()) {
        drop((parse::batch(&ask.id), parse::limit(ask.limit)));
    }
    if let Ok(ask) = arguments::<BeginLoadArguments>(given.clone()) {
        drop((parse::load(&ask.load), parse::amount(&ask.amount)));
    }
    if let Ok(ask) = arguments::<SettleArguments>(given.clone()) {
        drop(parse::optional_currency(ask.currency.as_deref()));
    }
    drop(arguments::<BatchArguments>(given.clone()));
    drop(arguments::<BatchesArguments>(given.clone()));
    drop(arguments::<JournalArguments>(given.clone()));
    drop(arguments::<ProvidePinArguments>(given.clone()));
    drop(arguments::<DriverArguments>(given.clone()));
    drop(arguments::<RecordDriverArguments>(given.clone()));
    drop(arguments::<WatchArguments>(given));
}

/// None for a method that does not exist.
type Answered = Option<Result<Value, Fault>>;

async fn without_arguments(service: &Service, caller: &Caller, name: &str, parameters: Value) -> Answered {
    if let Some(key) = parameters.as_object().and_then(|keys| keys.keys().next()) {
        return Some(Err(invalid_argument(
            key,
            "the method takes no arguments",
            "leave it out",
        )));
    }
    Some(match name {
        "GetInfo" => Ok(to_value(service.info())),
        "Status" => Ok(to_value(service.status().await)),
        "Devices" => Ok(to_value(service.devices())),
        "Drivers" => service.drivers(caller).map(to_value),
        "Provider" => Ok(to_value(service.provider())),
        "Totals" => service.totals(caller).await.map(to_value),
        "Head" => service.head().await.map(to_value),
        _ => return None,
    })
}

async fn with_arguments(service: &Service, caller: &Caller, name: &str, given: Value) -> Answered {
    macro_rules! call {
        ($method:ident) => {
            match arguments(given) {
                Ok(ask) => service.$method(caller, &ask).await.map(to_value),
                Err(fault) => Err(fault),
            }
        };
    }
    Some(match name {
        "BeginSale" => call!(begin_sale),
        "BeginLoad" => call!(begin_load),
        "AttachLoad" => call!(attach_load),
        "CancelLoad" => call!(cancel_load),
        "Attach" => call!(attach),
        "Cancel" => call!(cancel),
        "Where" => call!(whereabouts),
        "Conclude" => call!(conclude),
        "ReadPurse" => call!(read_purse),
        "Events" => call!(events),
        "Journal" => call!(journal),
        "Settle" => call!(settle),
        "VoidBatch" => call!(void_batch),
        "PresentAgain" => call!(present_again),
        "Batches" => call!(batches),
        "BatchItems" => call!(batch_items),
        "ReloadDriver" => call!(reload_driver),
        "StopRecording" => call!(stop_recording),
        _ => return None,
    })
}

async fn provide_pin(service: &Service, caller: &Caller, call: Incoming) -> Answered {
    let ask = match arguments::<ProvidePinArguments>(call.parameters) {
        Ok(ask) => ask,
        Err(fault) => return Some(Err(fault)),
    };
    let index = usize::try_from(ask.pin).unwrap_or(usize::MAX);
    let pin = call.descriptors.into_iter().nth(index);
    let last_try = ask.last_try.unwrap_or(false);
    Some(
        service
            .provide_pin(caller, &ask.reference, pin, last_try)
            .await
            .map(to_value),
    )
}

async fn record_driver(service: &Service, caller: &Caller, call: Incoming) -> Answered {
    let ask = match arguments::<RecordDriverArguments>(call.parameters) {
        Ok(ask) => ask,
        Err(fault) => return Some(Err(fault)),
    };
    let index = usize::try_from(ask.file).unwrap_or(usize::MAX);
    let file = call.descriptors.into_iter().nth(index);
    Some(
        service
            .record_driver(caller, &ask.driver, file)
            .await
            .map(to_value),
    )
}

async fn watch(service: &Service, caller: &Caller, call: Incoming) -> Answer {
    if !call.more {
        return Answer::Error(ErrorReply::standard("ExpectedMore", json!({})));
    }
    let watched = match arguments::<WatchArguments>(call.parameters) {
        Ok(ask) => service.watch(caller, &ask).await,
        Err(fault) => Err(fault),
    };
    match watched {
        Ok(watch) => Answer::Stream(Box::new(Stream::Sales(watch))),
        Err(fault) => Answer::Error(fault.into()),
    }
}

fn is_empty(parameters: &Value) -> bool {
    parameters.as_object().is_none_or(serde_json::Map::is_empty)
}

fn to_value(reply: impl Serialize) -> Value {
    serde_json::to_value(reply).expect("a reply holds only strings, numbers, lists and objects")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"reference":"order-1","amount":{"minor":300,"currency":"JPY"},"reader":"front","pin_through_api":true}"#;

    #[test]
    fn arguments_are_read_and_written_back_the_same() {
        let given: Value = serde_json::from_str(GOLDEN).expect("it is JSON");
        let ask: BeginSaleArguments = arguments(given.clone()).expect("they are arguments");
        assert_eq!(to_value(ask), given);
    }

    #[test]
    fn a_call_cut_anywhere_is_no_sale() {
        for end in 0..GOLDEN.len() {
            let cut = GOLDEN.as_bytes().get(..end).expect("it is shorter");
            let read = serde_json::from_slice(cut).map(arguments::<BeginSaleArguments>);
            assert!(!matches!(read, Ok(Ok(_))), "cut at {end}");
            fuzz(cut);
        }
    }

    #[test]
    fn no_damaged_byte_makes_the_door_panic() {
        for index in 0..GOLDEN.len() {
            for byte in [0, b'"', b'{', b'9', 0xff] {
                let mut damaged = GOLDEN.as_bytes().to_vec();
                damaged[index] = byte;
                fuzz(&damaged);
            }
        }
    }
}
