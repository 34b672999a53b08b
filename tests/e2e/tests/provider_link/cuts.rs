//! The line is cut before every message, once for each: the batch settles on a later try, exactly once.

use std::net::SocketAddr;

use crate::host::{CARD, Host, free_address};
use crate::proxy::{Cut, Meter};
use crate::settlements::sold;
use crate::shop::{Customer, yen};
use crate::till::{Till, settle};

/// Messages of one settlement on new connections: two handshakes and some ten requests with their answers.
const MESSAGES_MIN: u64 = 20;
/// At how many places in its bytes a settlement is cut too.
const PLACES: u64 = 24;

/// A provider and a till with metered lines between them, both ways.
struct Lines {
    host: Host,
    till: Till,
    meter: Meter,
    customer: Customer,
    batches: u8,
}

impl Lines {
    async fn new(listen: Option<SocketAddr>) -> Self {
        let meter = Meter::new();
        let mut host = Host::new(listen.map(|listen| meter.in_front_of(listen)));
        host.serve();
        let till = Till::enrolled(&host, meter.in_front_of(host.address), listen).await;
        Self {
            host,
            till,
            meter,
            customer: Customer::new(CARD),
            batches: 0,
        }
    }

    /// Settles a batch with the line cut there; what was seen of the line.
    async fn settle(&mut self, cut: Cut) -> (u64, u64, bool) {
        self.batches += 1;
        let (batch, items) = sold(&mut self.customer, self.batches, &[1, 2, 3]);
        self.meter.arm(cut);
        let link = self.till.link().await;
        let (permit, _, lost) = settle(&link, &batch, &items).await;
        let seen = self.meter.seen();
        assert_eq!(permit.sum.total, yen(6), "{cut:?}: {lost:?}");
        let paid = i64::from(self.batches) * 6;
        assert_eq!(self.host.permitted(), paid, "{cut:?}: once; {lost:?}");
        seen
    }
}

async fn every_message(listen: Option<SocketAddr>) {
    let mut lines = Lines::new(listen).await;
    let (messages, bytes, _) = lines.settle(Cut::Never).await;
    let mut cuts = 0;
    for message in 0..messages {
        let (.., is_cut) = lines.settle(Cut::BeforeMessage(message)).await;
        cuts += u64::from(is_cut);
    }
    println!("{messages} messages of {bytes} bytes: cut before {cuts} of them");
    assert!(cuts >= MESSAGES_MIN, "{cuts} of {messages}");
    if listen.is_none() {
        for place in 1..PLACES {
            lines.settle(Cut::AfterBytes(bytes * place / PLACES)).await;
        }
    }
    lines.host.audit();
}

#[tokio::test]
async fn a_standing_link_that_is_cut_before_each_message_and_inside_of_them_settles_once() {
    every_message(None).await;
}

#[tokio::test]
async fn a_call_that_is_cut_before_each_message_settles_once() {
    every_message(Some(free_address())).await;
}
