//! What a provider lets its terminals do: one signed, versioned document, taken over whole or not at all (money rule T3).

use purser_ledger::{Amount, CardId, Currency};

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::{Digest, ProviderName};

/// The most currencies of one provider.
pub const CURRENCIES_MAX: usize = 16;

/// The most cards on a hot list: what a small terminal keeps in memory.
pub const HOT_LIST_MAX: usize = 100_000;

/// How much a terminal may sell for in one currency. A currency that is not listed is not sold in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CurrencyLimits {
    /// The highest price of one sale.
    pub sale_max: Amount,
    /// The same while the parameters are too old: at most as high, in the same currency.
    pub stale_sale_max: Amount,
}

/// A provider's parameters. Signed by the provider over [`encode`](Self::encode).
///
/// A terminal takes a version over in one commit, never goes back to an earlier one, and stamps each sale with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Whose they are.
    pub provider: ProviderName,
    /// From 1, one more with each change.
    pub version: u64,
    /// When this version was made, in seconds since 1970-01-01 00:00:00 UTC.
    pub made_at_unix_seconds: i64,
    /// Seconds after which a terminal that has heard nothing from the provider warns.
    pub warn_after_seconds: u32,
    /// Seconds after which it sells up to [`CurrencyLimits::stale_sale_max`] only: at least as many.
    pub stale_after_seconds: u32,
    /// True where a terminal may have a software SAM.
    pub is_software_sam_allowed: bool,
    /// In the order of their codes, each once; at most [`CURRENCIES_MAX`].
    pub currencies: Vec<CurrencyLimits>,
    /// The versions of the card keys that are good, ascending, each once.
    pub key_versions: Vec<u8>,
    /// The version of the hot list: what the terminal acknowledges (money rule C3).
    pub hot_list_version: u64,
    /// The cards that are refused, ascending, each once; at most [`HOT_LIST_MAX`].
    pub hot_list: Vec<CardId>,
}

impl Parameters {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Parameters);
        writer
            .text(self.provider.as_str())
            .u64(self.version)
            .i64(self.made_at_unix_seconds)
            .u32(self.warn_after_seconds)
            .u32(self.stale_after_seconds)
            .u8(u8::from(self.is_software_sam_allowed))
            .u32(count(self.currencies.len()));
        for limits in &self.currencies {
            writer
                .currency(limits.sale_max.currency())
                .u64(limits.sale_max.minor())
                .u64(limits.stale_sale_max.minor());
        }
        writer
            .sized(&self.key_versions)
            .u64(self.hot_list_version)
            .u32(count(self.hot_list.len()));
        for card in &self.hot_list {
            writer.card(card);
        }
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; keep the parameters that are in force and ask again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Parameters, bytes)?;
        let provider = reader.text("provider")?;
        let provider = ProviderName::new(provider).map_err(|_| reader.wrong("provider"))?;
        let version = reader.u64()?;
        if version == 0 {
            return Err(reader.wrong("version"));
        }
        let made_at_unix_seconds = reader.i64()?;
        let (warn_after_seconds, stale_after_seconds) = (reader.u32()?, reader.u32()?);
        if stale_after_seconds < warn_after_seconds {
            return Err(reader.wrong("age"));
        }
        let is_software_sam_allowed = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(reader.wrong("software SAM")),
        };
        let parameters = Self {
            provider,
            version,
            made_at_unix_seconds,
            warn_after_seconds,
            stale_after_seconds,
            is_software_sam_allowed,
            currencies: currencies(&mut reader)?,
            key_versions: key_versions(&mut reader)?,
            hot_list_version: reader.u64()?,
            hot_list: hot_list(&mut reader)?,
        };
        reader.finish()?;
        Ok(parameters)
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }

    /// True when the hot list names this card. Looks at a few cards only, however long the list is: it is ascending.
    pub fn lists(&self, card: &CardId) -> bool {
        let found = self
            .hot_list
            .binary_search_by(|listed| listed.serial().cmp(card.serial()));
        found.is_ok_and(|place| self.hot_list[place] == *card)
    }

    /// How much one sale may come to; none for a currency that is not sold in.
    pub fn limits(&self, currency: Currency) -> Option<CurrencyLimits> {
        let of = |limits: &&CurrencyLimits| limits.sale_max.currency() == currency;
        self.currencies.iter().find(of).copied()
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("every list is bounded far below 2^32")
}

fn currencies(reader: &mut Reader<'_>) -> Result<Vec<CurrencyLimits>, DecodeError> {
    let mut currencies: Vec<CurrencyLimits> = Vec::new();
    for _ in 0..length(reader, CURRENCIES_MAX, "currencies")? {
        let currency = reader.currency()?;
        let limits = CurrencyLimits {
            sale_max: reader.amount(currency, "limit of a sale")?,
            stale_sale_max: reader.amount(currency, "limit of a sale by old parameters")?,
        };
        let before = currencies.last().map(|it| it.sale_max.currency());
        let is_next = before.is_none_or(|before| before.code() < currency.code());
        if !is_next || limits.stale_sale_max.minor() > limits.sale_max.minor() {
            return Err(reader.wrong("currencies"));
        }
        currencies.push(limits);
    }
    Ok(currencies)
}

fn key_versions(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let versions = reader.sized()?;
    if !versions.is_sorted_by(|one, next| one < next) {
        return Err(reader.wrong("key versions"));
    }
    Ok(versions.to_vec())
}

fn hot_list(reader: &mut Reader<'_>) -> Result<Vec<CardId>, DecodeError> {
    let mut cards: Vec<CardId> = Vec::new();
    for _ in 0..length(reader, HOT_LIST_MAX, "hot list")? {
        let card = reader.card()?;
        if cards
            .last()
            .is_some_and(|before| before.serial() >= card.serial())
        {
            return Err(reader.wrong("hot list"));
        }
        cards.push(card);
    }
    Ok(cards)
}

/// How many there are of something. No memory is taken for more than there are bytes.
fn length(reader: &mut Reader<'_>, max: usize, field: &'static str) -> Result<u32, DecodeError> {
    let length = reader.u32()?;
    if usize::try_from(length).map_or(true, |it| it > max) {
        return Err(reader.wrong(field));
    }
    Ok(length)
}
