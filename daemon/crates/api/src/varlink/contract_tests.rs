//! The contract file against the types that the code uses.

use std::collections::BTreeMap;

use zlink::idl::{CustomType as IdlCustomType, Interface, Type as IdlType};
use zlink::introspect::{CustomType, Type};

use crate::model::*;

type Fields = Vec<String>;

fn fields(of: &IdlType<'_>) -> Fields {
    let object = of.as_object().expect("arguments and replies are objects");
    object
        .iter()
        .map(|field| format!("{}: {}", field.name(), field.ty()))
        .collect()
}

fn custom(of: &IdlCustomType<'_>) -> (String, Fields) {
    let object = of.as_object().expect("custom types are objects");
    let fields = object
        .fields()
        .map(|field| format!("{}: {}", field.name(), field.ty()));
    (object.name().to_string(), fields.collect())
}

fn method<A: Type, R: Type>() -> (Fields, Fields) {
    (fields(A::TYPE), fields(R::TYPE))
}

/// Arguments of methods that take none.
#[derive(Type)]
struct Nothing {}

fn contract() -> Interface<'static> {
    VARLINK_CONTRACT
        .try_into()
        .expect("the contract file is Varlink IDL")
}

#[test]
fn the_contract_file_says_of_every_method_what_the_code_takes_and_gives() {
    let code = BTreeMap::from([
        ("GetInfo", method::<Nothing, InfoReply>()),
        ("Status", method::<Nothing, StatusReply>()),
        ("Devices", method::<Nothing, DevicesReply>()),
        ("Drivers", method::<Nothing, DriversReply>()),
        ("ReloadDriver", method::<DriverArguments, DriverReply>()),
        ("RecordDriver", method::<RecordDriverArguments, DriverReply>()),
        ("StopRecording", method::<DriverArguments, DriverReply>()),
        ("BeginSale", method::<BeginSaleArguments, BeginSaleReply>()),
        ("Attach", method::<AttachArguments, SaleReply>()),
        ("Watch", method::<WatchArguments, WatchReply>()),
        ("Events", method::<EventsArguments, EventsReply>()),
        ("ProvidePin", method::<ProvidePinArguments, SaleReply>()),
        ("Cancel", method::<ReferenceArguments, SaleReply>()),
        ("Conclude", method::<ConcludeArguments, SaleReply>()),
        ("ReadPurse", method::<ReadPurseArguments, PurseReply>()),
        ("Journal", method::<JournalArguments, JournalReply>()),
        ("Totals", method::<Nothing, TotalsReply>()),
        ("Settle", method::<SettleArguments, SettleReply>()),
        ("VoidBatch", method::<BatchArguments, SettleReply>()),
        (
            "PresentAgain",
            method::<PresentAgainArguments, PresentAgainReply>(),
        ),
        ("Batches", method::<BatchesArguments, BatchesReply>()),
        ("BatchItems", method::<BatchItemsArguments, BatchItemsReply>()),
        ("BeginLoad", method::<BeginLoadArguments, BeginLoadReply>()),
        ("AttachLoad", method::<ReferenceArguments, LoadReply>()),
        ("CancelLoad", method::<ReferenceArguments, LoadReply>()),
        ("Provider", method::<Nothing, ProviderReply>()),
        ("Head", method::<Nothing, HeadReply>()),
        ("Where", method::<ReferenceArguments, WhereReply>()),
    ]);
    let contract = contract();
    let file: BTreeMap<_, _> = contract
        .methods()
        .map(|method| {
            let field = |field: &zlink::idl::Field<'_>| format!("{}: {}", field.name(), field.ty());
            let inputs: Fields = method.inputs().map(field).collect();
            let outputs: Fields = method.outputs().map(field).collect();
            (method.name().as_str(), (inputs, outputs))
        })
        .collect();
    assert_eq!(file, code);
}

#[test]
fn the_contract_file_says_of_every_type_what_the_code_has() {
    let code: BTreeMap<_, _> = [
        Amount::CUSTOM_TYPE,
        Time::CUSTOM_TYPE,
        Slip::CUSTOM_TYPE,
        Sale::CUSTOM_TYPE,
        Event::CUSTOM_TYPE,
        Purse::CUSTOM_TYPE,
        Transfer::CUSTOM_TYPE,
        Entry::CUSTOM_TYPE,
        Balance::CUSTOM_TYPE,
        Batch::CUSTOM_TYPE,
        BatchItem::CUSTOM_TYPE,
        Load::CUSTOM_TYPE,
        Counts::CUSTOM_TYPE,
        LimitUse::CUSTOM_TYPE,
        Device::CUSTOM_TYPE,
        Driver::CUSTOM_TYPE,
        Problem::CUSTOM_TYPE,
        Limits::CUSTOM_TYPE,
    ]
    .map(custom)
    .into();
    let file: BTreeMap<_, _> = contract().custom_types().map(custom).collect();
    assert_eq!(file, code);
}

#[test]
fn the_contract_file_lists_every_error_with_its_cause_and_remedy() {
    let contract = contract();
    let file: Vec<_> = contract.errors().map(|error| error.name().to_string()).collect();
    let code: Vec<_> = ErrorName::ALL
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    assert_eq!(file, code);
    for error in contract.errors() {
        let fields: Fields = error
            .fields()
            .map(|field| format!("{}: {}", field.name(), field.ty()))
            .collect();
        let (always, special) = fields.split_at(3);
        assert_eq!(always, ["cause: string", "remedy: string", "transient: bool"]);
        let expected: &[&str] = match error.name().as_str() {
            "InvalidArgument" => &["argument: ?string"],
            "NotAllowed" => &["group: ?string"],
            "Lagged" => &["after: ?int"],
            _ => &[],
        };
        assert_eq!(special, expected, "{}", error.name());
    }
}

#[test]
fn every_type_and_method_of_the_contract_file_is_explained() {
    let contract = contract();
    assert!(contract.methods().all(|method| method.comments().count() > 0));
    assert!(contract.errors().all(|error| error.comments().count() > 0));
}
