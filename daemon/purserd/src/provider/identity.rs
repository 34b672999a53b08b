//! Who this terminal is to its provider, and what was pinned when it enrolled.

use std::fmt;

use purser_provider_link::call_back::Mode;
use purser_provider_link::{BankAccount, BankTerminalId, ProviderName, TerminalName};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{DeviceKey, KeyError, PUBLIC_KEY_BYTES};

/// The layout of the stored file.
const VERSION: u8 = 1;

/// The provider's answer to an enrolment or a renewal, and so what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Enrolled {
    pub(super) provider: String,
    pub(super) terminal: String,
    pub(super) role: String,
    pub(super) merchant: Option<String>,
    pub(super) psam_number: Option<String>,
    pub(super) bank_terminal: Option<String>,
    pub(super) provider_account: Option<String>,
    pub(super) call_back: String,
    #[serde(with = "hex::serde")]
    pub(super) certificate: Vec<u8>,
    pub(super) certificate_expires_at: i64,
    #[serde(with = "hex::serde")]
    pub(super) authority: Vec<u8>,
    #[serde(with = "hex::serde")]
    pub(super) signing_key: Vec<u8>,
}

/// What enrolment pinned. Nothing that the provider says later changes it (money rule T4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The provider's name.
    pub provider: ProviderName,
    /// The name under which this terminal is enrolled: it stands in its certificate.
    pub terminal: TerminalName,
    /// What it may do.
    pub role: Role,
    /// How the provider calls.
    pub mode: Mode,
    /// When the certificate ends. Units: seconds since 1970-01-01 00:00:00 UTC.
    pub certificate_expires_unix_seconds: i64,
    pub(super) certificate: Vec<u8>,
    pub(super) authority: Vec<u8>,
    pub(super) signing_key: [u8; PUBLIC_KEY_BYTES],
}

/// What a terminal may do at its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It settles what it sells: a merchant terminal (20).
    Merchant(Merchant),
    /// It loads cards, and settles nothing: a provider terminal (12).
    Provider,
}

/// What is pinned of a merchant terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// The merchant's name at the provider.
    pub name: String,
    /// The PSAM terminal number that the provider enrolled: 12 upper-case hexadecimal digits.
    pub psam_number: String,
    /// The number by which the merchant's bank knows this terminal.
    pub bank_terminal: BankTerminalId,
    /// The provider's account from which permits pay.
    pub account: BankAccount,
}

impl Pinned {
    /// What is pinned of a merchant terminal; none of a provider terminal.
    pub fn merchant(&self) -> Option<&Merchant> {
        match &self.role {
            Role::Merchant(merchant) => Some(merchant),
            Role::Provider => None,
        }
    }

    /// True when only the certificate differs.
    pub(super) fn has_same_facts(&self, other: &Self) -> bool {
        let without = |it: &Self| Self {
            certificate: Vec::new(),
            certificate_expires_unix_seconds: 0,
            ..it.clone()
        };
        without(self) == without(other)
    }
}

/// Something in the answer to an enrolment is not what the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is wrong in `{0}`")]
pub(super) struct BadEnrolled(&'static str);

/// How a mode is written.
pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Answer => "answer",
        Mode::Standing => "standing",
    }
}

/// A mode by its name.
pub(crate) fn mode_of(name: &str) -> Option<Mode> {
    [Mode::Answer, Mode::Standing]
        .into_iter()
        .find(|mode| mode_name(*mode) == name)
}

impl TryFrom<&Enrolled> for Pinned {
    type Error = BadEnrolled;

    fn try_from(told: &Enrolled) -> Result<Self, BadEnrolled> {
        let role = match told.role.as_str() {
            "merchant" => Role::Merchant(merchant(told)?),
            "provider" => Role::Provider,
            _ => return Err(BadEnrolled("role")),
        };
        Ok(Self {
            provider: ProviderName::new(told.provider.as_str()).map_err(|_| BadEnrolled("provider"))?,
            terminal: TerminalName::new(told.terminal.as_str()).map_err(|_| BadEnrolled("terminal"))?,
            role,
            mode: mode_of(&told.call_back).ok_or(BadEnrolled("call_back"))?,
            certificate_expires_unix_seconds: told.certificate_expires_at,
            certificate: told.certificate.clone(),
            authority: told.authority.clone(),
            signing_key: told
                .signing_key
                .as_slice()
                .try_into()
                .map_err(|_| BadEnrolled("signing_key"))?,
        })
    }
}

fn merchant(told: &Enrolled) -> Result<Merchant, BadEnrolled> {
    let text = |value: &Option<String>, name| value.clone().ok_or(BadEnrolled(name));
    let bank_terminal = text(&told.bank_terminal, "bank_terminal")?;
    let bank_terminal = bank_terminal.as_bytes().try_into().ok();
    let bank_terminal = bank_terminal.and_then(|it| BankTerminalId::new(it).ok());
    let account = text(&told.provider_account, "provider_account")?.parse();
    Ok(Merchant {
        name: text(&told.merchant, "merchant")?,
        psam_number: text(&told.psam_number, "psam_number")?,
        bank_terminal: bank_terminal.ok_or(BadEnrolled("bank_terminal"))?,
        account: account.map_err(|_| BadEnrolled("provider_account"))?,
    })
}

/// The device key with what was pinned. Shown without the key.
pub struct Identity {
    pub(super) pinned: Pinned,
    pub(super) key: DeviceKey,
    /// The digest of the code that enrolled it.
    pub(super) code: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, ****)", self.pinned.terminal)
    }
}

impl Identity {
    /// What enrolment pinned.
    pub fn pinned(&self) -> &Pinned {
        &self.pinned
    }
}

/// The file's layout. The key stands in it once, and is borrowed where it is read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    version: u8,
    code: String,
    key: &'a str,
    enrolled: Enrolled,
}

/// The file that holds an identity.
pub(super) fn encode(code: &str, pkcs8: &[u8], enrolled: &Enrolled) -> Zeroizing<Vec<u8>> {
    let digits = Zeroizing::new(hex::encode(pkcs8));
    let stored = Stored {
        version: VERSION,
        code: code.to_owned(),
        key: &digits,
        enrolled: enrolled.clone(),
    };
    // Large enough at once: a buffer that grew would leave a copy of the key behind.
    let room = 4096 + 2 * (pkcs8.len() + enrolled.certificate.len() + enrolled.authority.len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *bytes, &stored).expect("texts and numbers are written as JSON");
    bytes
}

/// Why a stored identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("it is not what `purserd enrol` writes")]
    Layout,
    #[error("it is of layout {0}, which this Purser does not know")]
    Version(u8),
    #[error(transparent)]
    Facts(#[from] BadEnrolled),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Reads what [`encode`] wrote; the key's bytes too, for a repeat of the enrolment.
pub(super) fn decode(bytes: &[u8]) -> Result<(Identity, Zeroizing<Vec<u8>>), DecodeError> {
    // Not the reader's own error: it could quote the file.
    let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(|_| DecodeError::Layout)?;
    if stored.version != VERSION {
        return Err(DecodeError::Version(stored.version));
    }
    let pkcs8 = Zeroizing::new(hex::decode(stored.key).map_err(|_| DecodeError::Layout)?);
    let identity = Identity {
        pinned: Pinned::try_from(&stored.enrolled)?,
        key: DeviceKey::from_pkcs8(&pkcs8)?,
        code: stored.code,
    };
    Ok((identity, pkcs8))
}
