//! Which list had reached a terminal before a sale (money rule C3).
//!
//! A terminal acknowledges each list that it has put into force, with its PSAM terminal number and the terminal SN that its
//! next sale will have at least. The card's evidence covers the terminal SN, so a merchant cannot put a sale before the list
//! by writing another time; and a list that was never acknowledged refuses nothing.

/// A version of the hot list. 0: none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListVersion(pub u64);

/// A list that came into force at a terminal: sales from this terminal SN on knew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// The first terminal SN that the list covers.
    pub from_terminal_sn: u32,
    /// The list.
    pub version: ListVersion,
}

/// Since when a card has been listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing {
    /// The first version that names the card.
    pub from: ListVersion,
    /// The first version after it that does not; none while it is listed.
    pub until: Option<ListVersion>,
}

impl Listing {
    /// True when this version of the list names the card.
    pub fn names_at(&self, version: ListVersion) -> bool {
        self.from <= version && self.until.is_none_or(|until| version < until)
    }
}

/// The deliveries to one PSAM terminal number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeliveryRecord(Vec<Delivery>);

/// An acknowledgement contradicts an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the acknowledgement goes back in list version")]
pub struct GoesBack;

impl GoesBack {
    /// False: the same acknowledgement gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

impl DeliveryRecord {
    /// The record with a list that the terminal acknowledged. The same list again changes nothing, whatever terminal SN it is told
    /// with: the first word counts. A later list never counts from before the one that it follows on: a PSAM's number can be
    /// burnt without a sale, and come back lower.
    ///
    /// # Errors
    /// [`GoesBack`]: keep the record as it is, flag the terminal (a restore, or worse).
    pub fn acknowledged(&self, delivery: Delivery) -> Result<Self, GoesBack> {
        let mut from_terminal_sn = delivery.from_terminal_sn;
        if let Some(last) = self.newest() {
            if delivery.version == last.version {
                return Ok(self.clone());
            }
            if delivery.version < last.version {
                return Err(GoesBack);
            }
            from_terminal_sn = from_terminal_sn.max(last.from_terminal_sn);
        }
        let mut record = self.clone();
        record.0.push(Delivery {
            from_terminal_sn,
            ..delivery
        });
        Ok(record)
    }

    /// The newest list with the terminal SN from which on it counts.
    pub fn newest(&self) -> Option<Delivery> {
        self.0.last().copied()
    }

    /// The list that was in force at a sale with this terminal SN.
    pub fn version_at(&self, terminal_sn: u32) -> ListVersion {
        let covering = self.0.iter().rev().find(|it| it.from_terminal_sn <= terminal_sn);
        covering.map_or(ListVersion(0), |it| it.version)
    }

    /// True when the list in force at the sale named the card: only then is the claim refused. Not where the sale was made by a
    /// newer list, `stamped`, that does not name it: its acknowledgement is still to come, and the card was good.
    pub fn refuses(&self, listings: &[Listing], terminal_sn: u32, stamped: ListVersion) -> bool {
        let names = |version| listings.iter().any(|it| it.names_at(version));
        let delivered = self.version_at(terminal_sn);
        names(delivered) && (stamped <= delivered || names(stamped))
    }
}
