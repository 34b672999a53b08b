//! Drivers over both doors: listed, reloaded, recorded.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use purser_api::client::{Client, ClientError};
use purser_api::model::DriverArguments;
use zbus::Fd;

use crate::bus::{Dict, PrivateBus, call, client, text};
use crate::shop::{Shop, access};

/// What a call over the bus is answered.
type Reply<T> = Result<T, (String, String)>;

/// A new file that is its owner's alone, open for writing.
fn new_file(shop: &Shop, name: &str) -> OwnedFd {
    let file = File::create(shop.path(name)).expect("the folder is ours");
    let own = std::fs::Permissions::from_mode(0o600);
    file.set_permissions(own).expect("the file is ours");
    file.into()
}

#[tokio::test]
async fn the_bus_door_lists_reloads_and_records_drivers() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let drivers: Vec<Dict> = call(&bus, "Drivers", &()).await.unwrap();
    assert_eq!(text(&drivers[0], "name"), "counter");
    let classes: Vec<String> = drivers[0]["classes"].try_clone().unwrap().try_into().unwrap();
    assert_eq!(classes, ["purser.card-reader/1"]);
    assert!(
        !drivers[0].contains_key("last_failure"),
        "what is absent has no key"
    );
    let refused: Reply<Dict> = call(&bus, "ReloadDriver", &("counter",)).await;
    assert_eq!(refused.unwrap_err().0, "DriverInUse");
    let refused: Reply<Dict> = call(&bus, "ReloadDriver", &("none",)).await;
    assert_eq!(refused.unwrap_err().0, "UnknownDriver");
    let file = new_file(&shop, "recording");
    let recorded: Dict = call(&bus, "RecordDriver", &("counter", Fd::from(file)))
        .await
        .unwrap();
    assert_eq!(text(&recorded, "name"), "counter");
    let read_only: OwnedFd = File::open(shop.path("recording")).unwrap().into();
    let refused: Reply<Dict> = call(&bus, "RecordDriver", &("counter", Fd::from(read_only))).await;
    let (name, words) = refused.unwrap_err();
    assert!(
        name == "InvalidArgument" && words.starts_with("file"),
        "{name}: {words}"
    );
    let refused: Reply<Dict> = call(&bus, "StopRecording", &("counter",)).await;
    assert_eq!(refused.unwrap_err().0, "NotRecording");
}

#[tokio::test]
async fn the_varlink_door_lists_reloads_and_records_drivers() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    let drivers = client.drivers().await.unwrap().drivers;
    assert_eq!(
        (drivers[0].name.as_str(), drivers[0].recording),
        ("counter", false)
    );
    let counter = DriverArguments {
        driver: "counter".to_owned(),
    };
    let name = |error| match error {
        ClientError::Refused(fault) => fault.name.to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(
        name(client.reload_driver(&counter).await.unwrap_err()),
        "DriverInUse"
    );
    let file = new_file(&shop, "recording");
    let recorded = client.record_driver("counter", file).await.unwrap();
    assert_eq!(recorded.driver.name, "counter");
    let (pipe, _read) = rustix::pipe::pipe().expect("a pipe can be made");
    let refused = client.record_driver("counter", pipe).await.unwrap_err();
    assert_eq!(name(refused), "InvalidArgument");
    assert_eq!(
        name(client.stop_recording(&counter).await.unwrap_err()),
        "NotRecording"
    );
}
