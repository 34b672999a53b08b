//! PINs as descriptors (money rule T5).

use std::io::Write;
use std::os::fd::OwnedFd;

use purser_api::client::{Client, ClientError};
use purser_api::model::{Amount, BeginSaleArguments};
use serde_json::json;

use crate::raw::Raw;
use crate::shop::{Shop, access};

/// The read end of a pipe into which these bytes were written, and whose write end is closed.
pub(crate) fn pipe_with(bytes: &[u8]) -> OwnedFd {
    let (read, write) = std::io::pipe().expect("a pipe can be made");
    let mut write = write;
    write.write_all(bytes).expect("a pipe takes a few bytes");
    read.into()
}

async fn waiting_sale(shop: &Shop) -> Client {
    let mut client = Client::connect(&shop.socket).await.unwrap();
    let ask = BeginSaleArguments {
        reference: "order-1".to_owned(),
        amount: Amount {
            minor: 300,
            currency: "JPY".to_owned(),
        },
        reader: None,
        pin_through_api: Some(true),
    };
    let sale = client.begin_sale(&ask).await.unwrap().sale;
    assert_eq!(
        (sale.state.as_str(), sale.pin_through_api),
        ("waiting_for_pin", Some(true))
    );
    client
}

#[tokio::test]
async fn a_pin_is_handed_over_and_shows_nowhere() {
    let shop = Shop::open(access()).await;
    let mut client = waiting_sale(&shop).await;
    let sale = client
        .provide_pin("order-1", pipe_with(b"918273645546"), false)
        .await
        .unwrap()
        .sale;
    assert_eq!(sale.state, "checking_pin");
    let seen = shop.lock().pins.concat();
    assert!(!seen.is_empty() && !seen.contains("9182"), "{seen}");
}

#[tokio::test]
async fn what_is_no_pin_is_refused_and_the_sale_still_waits() {
    let shop = Shop::open(access()).await;
    let mut client = waiting_sale(&shop).await;
    let error = client
        .provide_pin("order-1", pipe_with(b"91a2"), false)
        .await
        .unwrap_err();
    let ClientError::Refused(fault) = error else {
        panic!("not refused: {error}");
    };
    assert_eq!(&*fault.name, "PinNotReadable");
    assert!(!format!("{fault:?}").contains("91"), "{fault:?}");
    assert_eq!(
        client.attach("order-1").await.unwrap().sale.state,
        "waiting_for_pin"
    );
}

#[tokio::test]
async fn a_call_without_its_descriptor_or_with_the_digits_as_an_argument_is_refused() {
    let shop = Shop::open(access()).await;
    waiting_sale(&shop).await;
    let mut raw = Raw::connect(&shop.socket).await;
    let (error, told) = raw
        .call("ProvidePin", json!({ "reference": "order-1", "pin": 0 }))
        .await
        .unwrap_err();
    assert_eq!(
        (error.as_str(), told["argument"].as_str()),
        ("InvalidArgument", Some("pin"))
    );
    let digits = json!({ "reference": "order-1", "pin": "9182" });
    let (error, told) = raw.call("ProvidePin", digits).await.unwrap_err();
    assert_eq!(
        (error.as_str(), told["argument"].as_str()),
        ("InvalidArgument", Some("pin"))
    );
    assert!(shop.lock().pins.is_empty());
}
