//! What the running doors say of themselves, against the contract files.

use purser_api::dbus::{NAME, OBJECT};
use purser_api::model::{DBUS_CONTRACT, INTERFACE, VARLINK_CONTRACT};
use serde_json::json;

use crate::bus::{PrivateBus, client};
use crate::raw::Raw;
use crate::shop::{Shop, access};

/// The elements of our interface, without comments and layout.
fn interface(document: &str) -> Vec<String> {
    let mut bare = document.to_owned();
    while let Some(start) = bare.find("<!--") {
        let end = bare[start..].find("-->").expect("a comment ends") + start;
        bare.replace_range(start..end + 3, "");
    }
    let start = bare
        .find(&format!("<interface name=\"{INTERFACE}\">"))
        .expect("our interface is described");
    let end = bare[start..].find("</interface>").expect("an interface ends") + start;
    let elements = bare[start..end]
        .split('>')
        .map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    elements.filter(|element| !element.is_empty()).collect()
}

#[tokio::test]
async fn the_bus_door_says_what_the_introspection_file_says() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let reply = bus
        .call_method(
            Some(NAME),
            OBJECT,
            Some("org.freedesktop.DBus.Introspectable"),
            "Introspect",
            &(),
        )
        .await
        .expect("every object can be introspected");
    let told: String = reply.body().deserialize().expect("a document is a text");
    assert_eq!(interface(&told), interface(DBUS_CONTRACT), "{told}");
}

#[tokio::test]
async fn every_element_of_the_introspection_file_is_explained() {
    for kind in ["<method ", "<signal "] {
        for (index, _) in DBUS_CONTRACT.match_indices(kind) {
            let before = DBUS_CONTRACT[..index].trim_end();
            assert!(
                before.ends_with("-->"),
                "not explained: {}",
                &DBUS_CONTRACT[index..index + 40]
            );
        }
    }
}

#[tokio::test]
async fn the_varlink_door_says_what_the_interface_file_says() {
    let shop = Shop::open(access()).await;
    let mut raw = Raw::connect(&shop.socket).await;
    let info = raw
        .call_full("org.varlink.service.GetInfo", json!({}))
        .await
        .unwrap();
    assert_eq!(info["interfaces"], json!(["org.varlink.service", INTERFACE]));
    let ours = json!({ "interface": INTERFACE });
    let told = raw
        .call_full("org.varlink.service.GetInterfaceDescription", ours)
        .await
        .unwrap();
    assert_eq!(told["description"], VARLINK_CONTRACT);
    let standard = json!({ "interface": "org.varlink.service" });
    let told = raw
        .call_full("org.varlink.service.GetInterfaceDescription", standard)
        .await
        .unwrap();
    assert!(told["description"].as_str().unwrap().contains("method GetInfo"));
    let other = json!({ "interface": "org.example.other" });
    let (error, _) = raw
        .call_full("org.varlink.service.GetInterfaceDescription", other)
        .await
        .unwrap_err();
    assert_eq!(error, "InterfaceNotFound");
}
