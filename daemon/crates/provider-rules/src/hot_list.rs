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

/// The deliveries to one PSAM terminal number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeliveryRecord(Vec<Delivery>);

/// An acknowledgement contradicts an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the acknowledgement goes back in list version or terminal SN")]
pub struct GoesBack;

impl GoesBack {
    /// False: the same acknowledgement gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

impl DeliveryRecord {
    /// The record with a list that the terminal acknowledged. A repeat changes nothing, also from a later sale on: a terminal that
    /// did not hear the answer tells it again after a restart, from where it stands then. The first word counts.
    ///
    /// # Errors
    /// [`GoesBack`]: keep the record as it is, flag the terminal (a restore, or worse).
    pub fn acknowledged(&self, delivery: Delivery) -> Result<Self, GoesBack> {
        match self.0.last() {
            Some(last)
                if delivery.version == last.version && delivery.from_terminal_sn >= last.from_terminal_sn =>
            {
                Ok(self.clone())
            }
            Some(last)
                if delivery.version <= last.version || delivery.from_terminal_sn < last.from_terminal_sn =>
            {
                Err(GoesBack)
            }
            Some(_) | None => {
                let mut record = self.clone();
                record.0.push(delivery);
                Ok(record)
            }
        }
    }

    /// The list that was in force at a sale with this terminal SN.
    pub fn version_at(&self, terminal_sn: u32) -> ListVersion {
        let covering = self.0.iter().rev().find(|it| it.from_terminal_sn <= terminal_sn);
        covering.map_or(ListVersion(0), |it| it.version)
    }

    /// True when the list in force at the sale named the card: only then is the claim refused.
    pub fn refuses(&self, listing: Option<&Listing>, terminal_sn: u32) -> bool {
        let version = self.version_at(terminal_sn);
        listing.is_some_and(|it| it.from <= version && it.until.is_none_or(|until| version < until))
    }
}
