//! The object's interface on the bus: each method translates, asks the service and translates back.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, OwnedVariant};

use super::door::Door;
use super::refusal::Refusal;
use super::value::{Dict, add_options, dict, given, list, page};
use crate::model::{
    Amount, BatchArguments, BatchItemsArguments, BatchesArguments, BeginLoadArguments, ConcludeArguments,
    DriverArguments, EventsArguments, JournalArguments, PresentAgainArguments, ReadPurseArguments,
    ReferenceArguments, SettleArguments, WatchArguments,
};
use crate::parse::arguments;

#[zbus::interface(name = "org.purser.Purser1", introspection_docs = false)]
impl Door {
    #[zbus(out_args("info"))]
    async fn get_info(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, Refusal> {
        let _pass = self.enter(connection, &header).await?;
        Ok(dict(self.service.info()))
    }

    #[zbus(out_args("status"))]
    async fn status(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, Refusal> {
        let _pass = self.enter(connection, &header).await?;
        Ok(dict(self.service.status().await))
    }

    #[zbus(out_args("devices"))]
    async fn devices(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Dict>, Refusal> {
        let _pass = self.enter(connection, &header).await?;
        Ok(list(self.service.devices().devices))
    }

    #[zbus(out_args("provider"))]
    async fn provider(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, Refusal> {
        let _pass = self.enter(connection, &header).await?;
        Ok(dict(self.service.provider()))
    }

    #[zbus(out_args("drivers"))]
    async fn drivers(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Dict>, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        Ok(list(self.service.drivers(&caller)?.drivers))
    }

    #[zbus(out_args("reloaded"))]
    async fn reload_driver(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        driver: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = DriverArguments { driver };
        Ok(dict(self.service.reload_driver(&caller, &ask).await?.driver))
    }

    #[zbus(out_args("recorded"))]
    async fn record_driver(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        driver: String,
        file: OwnedFd,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let recorded = self
            .service
            .record_driver(&caller, &driver, Some(file.into()))
            .await?;
        Ok(dict(recorded.driver))
    }

    #[zbus(out_args("recorded"))]
    async fn stop_recording(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        driver: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = DriverArguments { driver };
        Ok(dict(self.service.stop_recording(&caller, &ask).await?.driver))
    }

    #[zbus(out_args("standing", "sale"))]
    async fn begin_sale(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
        amount: (u64, String),
        options: BTreeMap<String, OwnedVariant>,
    ) -> Result<(String, Dict), Refusal> {
        let (name, caller, _pass) = self.enter(connection, &header).await?;
        let mut given = Map::new();
        given.insert("reference".to_owned(), Value::from(reference));
        given.insert(
            "amount".to_owned(),
            json!({ "minor": amount.0, "currency": amount.1 }),
        );
        add_options(&mut given, options)?;
        let begun = self
            .service
            .begin_sale(&caller, &arguments(Value::Object(given))?)
            .await?;
        if !self.watchers.has(&name) {
            match self.service.watch_own(&caller) {
                Ok(own) => {
                    let status = self.service.watch_status();
                    self.watchers.replace(connection, name, own, status).await;
                }
                // The sale has begun, and must not look as if it had not: a card would pay for what nobody expects.
                Err(fault) => self.tell_unheard(&caller, &fault),
            }
        }
        Ok((begun.standing, dict(begun.sale)))
    }

    #[zbus(out_args("sale"))]
    async fn attach(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let sale = self
            .service
            .attach(&caller, &ReferenceArguments { reference })
            .await?;
        Ok(dict(sale.sale))
    }

    async fn watch(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<(), Refusal> {
        let (name, caller, _pass) = self.enter(connection, &header).await?;
        let ask = WatchArguments {
            reference: given(reference),
            after: None,
        };
        Ok(self.watch_for(connection, (name, caller), &ask).await?)
    }

    async fn unwatch(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        let (name, _, _pass) = self.enter(connection, &header).await?;
        self.watchers.remove(&name);
        Ok(())
    }

    #[zbus(out_args("events", "more"))]
    async fn events(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        after: u64,
        limit: u32,
        reference: String,
    ) -> Result<(Vec<Dict>, bool), Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = EventsArguments {
            after,
            limit: page(limit),
            reference: given(reference),
        };
        let page = self.service.events(&caller, &ask).await?;
        Ok((list(page.events), page.more))
    }

    #[zbus(out_args("sale"))]
    async fn provide_pin(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
        pin: OwnedFd,
        last_try: bool,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let sale = self
            .service
            .provide_pin(&caller, &reference, Some(pin.into()), last_try)
            .await?;
        Ok(dict(sale.sale))
    }

    #[zbus(out_args("sale"))]
    async fn cancel(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let sale = self
            .service
            .cancel(&caller, &ReferenceArguments { reference })
            .await?;
        Ok(dict(sale.sale))
    }

    #[zbus(out_args("sale"))]
    async fn conclude(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
        conclusion: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = ConcludeArguments {
            reference,
            conclusion,
        };
        Ok(dict(self.service.conclude(&caller, &ask).await?.sale))
    }

    #[zbus(out_args("purse"))]
    async fn read_purse(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reader: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = ReadPurseArguments {
            reader: given(reader),
        };
        Ok(dict(self.service.read_purse(&caller, &ask).await?.purse))
    }

    #[zbus(out_args("entries", "more"))]
    async fn journal(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        after: u64,
        limit: u32,
        reference: String,
    ) -> Result<(Vec<Dict>, bool), Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = JournalArguments {
            after: Some(after),
            limit: page(limit),
            reference: given(reference),
        };
        let page = self.service.journal(&caller, &ask).await?;
        Ok((list(page.entries), page.more))
    }

    #[zbus(out_args("totals"))]
    async fn totals(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        Ok(dict(self.service.totals(&caller).await?))
    }

    #[zbus(out_args("standing", "load"))]
    async fn begin_load(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
        load: String,
        amount: (u64, String),
        reader: String,
    ) -> Result<(String, Dict), Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = BeginLoadArguments {
            reference,
            load,
            amount: Amount {
                minor: amount.0,
                currency: amount.1,
            },
            reader: given(reader),
        };
        let begun = self.service.begin_load(&caller, &ask).await?;
        Ok((begun.standing, dict(begun.load)))
    }

    #[zbus(out_args("load"))]
    async fn attach_load(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = ReferenceArguments { reference };
        Ok(dict(self.service.attach_load(&caller, &ask).await?.load))
    }

    #[zbus(out_args("load"))]
    async fn cancel_load(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = ReferenceArguments { reference };
        Ok(dict(self.service.cancel_load(&caller, &ask).await?.load))
    }

    #[zbus(out_args("batches"))]
    async fn settle(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        currency: String,
    ) -> Result<Vec<Dict>, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = SettleArguments {
            currency: given(currency),
        };
        Ok(list(self.service.settle(&caller, &ask).await?.batches))
    }

    #[zbus(out_args("batches"))]
    async fn void_batch(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        id: String,
    ) -> Result<Vec<Dict>, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = BatchArguments { id };
        Ok(list(self.service.void_batch(&caller, &ask).await?.batches))
    }

    #[zbus(out_args("presented"))]
    async fn present_again(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        id: String,
        place: i64,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let place = u64::try_from(place).ok();
        let ask = PresentAgainArguments { id, place };
        Ok(dict(self.service.present_again(&caller, &ask).await?))
    }

    #[zbus(out_args("batches", "more"))]
    async fn batches(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        before: u64,
        limit: u32,
    ) -> Result<(Vec<Dict>, bool), Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = BatchesArguments {
            before: (before > 0).then_some(before),
            limit: page(limit),
        };
        let page = self.service.batches(&caller, &ask).await?;
        Ok((list(page.batches), page.more))
    }

    #[zbus(out_args("items", "more"))]
    async fn batch_items(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        id: String,
        from: u64,
        limit: u32,
    ) -> Result<(Vec<Dict>, bool), Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let ask = BatchItemsArguments {
            id,
            from: Some(from),
            limit: page(limit),
        };
        let page = self.service.batch_items(&caller, &ask).await?;
        Ok((list(page.items), page.more))
    }

    #[zbus(out_args("head"))]
    async fn head(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Refusal> {
        let _pass = self.enter(connection, &header).await?;
        Ok(self.service.head().await?.head)
    }

    #[zbus(name = "Where", out_args("whereabouts"))]
    async fn whereabouts(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reference: String,
    ) -> Result<Dict, Refusal> {
        let (_, caller, _pass) = self.enter(connection, &header).await?;
        let told = self
            .service
            .whereabouts(&caller, &ReferenceArguments { reference })
            .await?;
        Ok(dict(told))
    }

    #[zbus(signal)]
    pub(super) async fn sale_changed(to: &SignalEmitter<'_>, event: Dict) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn load_changed(to: &SignalEmitter<'_>, event: Dict) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn batch_changed(to: &SignalEmitter<'_>, event: Dict) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn status_changed(to: &SignalEmitter<'_>, status: Dict) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn lagged(to: &SignalEmitter<'_>, after: u64) -> zbus::Result<()>;
}
