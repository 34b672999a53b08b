//! What the shop's doors read past the engine.

use super::*;

pub(super) struct Journal(pub(super) Arc<Mutex<State>>);

impl Journal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics under the lock")
    }
}

impl Facts for Journal {
    fn entries(&self, query: &EntriesQuery) -> Result<Vec<Recorded>, FactsUnavailable> {
        let state = self.lock();
        let wanted = |entry: &&Recorded| {
            let operation = state.ended.values().find(|it| it.id == entry.content.operation);
            let of_owner = |owner: &Owner| operation.is_some_and(|it| it.owner == *owner);
            let of_reference = |name: &Reference| operation.is_some_and(|it| it.reference == *name);
            entry.head.number > query.after
                && query.owner.as_ref().is_none_or(of_owner)
                && query.reference.as_ref().is_none_or(of_reference)
        };
        let limit = usize::try_from(query.limit).expect("a page is small");
        Ok(state.entries.iter().filter(wanted).take(limit).cloned().collect())
    }

    fn history(&self, operation: OperationId) -> Result<Vec<Recorded>, FactsUnavailable> {
        let state = self.lock();
        let of_it = |entry: &&Recorded| entry.content.operation == operation;
        Ok(state.entries.iter().filter(of_it).cloned().collect())
    }

    fn totals(&self) -> Result<TotalsFacts, FactsUnavailable> {
        Ok(TotalsFacts {
            books: self.lock().books.clone(),
            counts: Counts {
                paid: 1,
                ..Counts::default()
            },
            limits: Limits::default().uses(
                &Unsettled::default(),
                Now {
                    monotonic: Monotonic(0),
                    wall: at(0),
                },
            ),
        })
    }

    fn batches(&self, before: Option<u64>, _limit: u64) -> Result<Vec<BatchFacts>, FactsUnavailable> {
        let is_asked = before.is_none_or(|before| before > SEALED);
        Ok(is_asked.then(sealed_batch).into_iter().collect())
    }

    fn batch_items(
        &self,
        batch: OperationId,
        from: u64,
        _limit: u64,
    ) -> Result<Option<Vec<BatchItem>>, FactsUnavailable> {
        let items = || (from == 0).then(batch_item).into_iter().collect();
        Ok((batch == sealed_batch().view.id).then(items))
    }

    fn head(&self) -> Result<Head, FactsUnavailable> {
        Ok(self.lock().entries.last().map_or(Head::EMPTY, |entry| entry.head))
    }

    fn provider(&self) -> ProviderReply {
        ProviderReply {
            link: "up".to_owned(),
            cause: None,
            provider: Some("provider.example".to_owned()),
            terminal: Some("till-1".to_owned()),
            role: Some("merchant".to_owned()),
            merchant: Some("kiosk".to_owned()),
            mode: Some("standing".to_owned()),
            certificate_expires_unix_seconds: Some(1_900_000_000),
            parameters_version: Some(7),
            parameters_age: Some("fresh".to_owned()),
            parameters_heard_unix_seconds: Some(1_800_000_000),
            parameters_failure: None,
            hot_list_version: Some(2),
            hot_list_cards: Some(3),
            hot_list_acknowledged: Some(true),
            generation: 0,
        }
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device {
            name: "front".to_owned(),
            driver: "virtual-reader".to_owned(),
            card_reader: true,
            pin_pad: true,
            state: "ready".to_owned(),
            card_present: Some(false),
            psam_terminal_number: None,
            cause: None,
            remedy: None,
            restarts: 0,
            last_answer_at: Some(time()),
        }]
    }

    fn drivers(&self) -> Vec<Driver> {
        drivers::listed()
    }

    fn check_driver(&self, name: &str) -> Result<(), DriverRefusal> {
        if name == "counter" {
            Ok(())
        } else {
            Err(DriverRefusal::Unknown)
        }
    }

    fn look(&self) {}

    fn changes(&self) -> watch::Receiver<()> {
        self.lock().changes.subscribe()
    }

    fn status(&self) -> StatusFacts {
        StatusFacts {
            ready: !self.lock().is_unready,
            started_at: time(),
            bus: BusState::Off,
            problems: vec![Problem {
                name: "clock_untrusted".to_owned(),
                cause: "the clock stands before the last record".to_owned(),
                remedy: "set the clock".to_owned(),
            }],
        }
    }

    fn info(&self) -> InfoFacts {
        InfoFacts {
            version: "0.1.0".to_owned(),
            terminal_number: [1, 2, 3, 4, 5, 6],
            currencies: vec!["JPY".parse().expect("this is a currency")],
            pin_through_api: true,
        }
    }
}

fn time() -> Time {
    at(0).into()
}
