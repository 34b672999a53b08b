//! `purserd enrol`: a new device key, a certificate for it, and what is pinned with it.
//!
//! The key is durable before the provider hears of it, and bound to the code. So after a lost answer, a kill or a power cut
//! the same command asks with the same key, and gets the same answer; what is stored is replaced as a whole.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_journal::Reader;
use purser_ledger::OperationId;
use purser_provider_link::{Batch, ProviderName};
use purser_purse::pboc::PsamTerminalNumber;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsConnector;

use super::failure;
use super::files::{FilesError, Folder};
use super::identity::{self, Enrolled, Identity, Pinned, mode_name};
use super::key::DeviceKey;
use super::tls::{self, TlsError};
use super::wire::{Ask, AskError};
use crate::cli;
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::verbs::chain;

/// The longest certificate of an authority.
const AUTHORITY_BYTES_MAX: u64 = 16 * 1024;
/// The longest code: the reference provider's has 32 characters.
const CODE_BYTES_MAX: usize = 256;
const RENEWAL: &str = "renewal.key";

/// The newest batches that are looked at: one of each currency at most is under way, and it is the newest.
const BATCHES_LOOKED_AT: u32 = 1_000;

/// Which enrolment.
#[derive(Clone)]
pub enum Enrolment {
    /// With a one-time code.
    Code(String),
    /// With the certificate that is there.
    Renewal,
}

impl fmt::Debug for Enrolment {
    /// Without the code: whoever has it enrols in this terminal's place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code(_) => "Code(…)",
            Self::Renewal => "Renewal",
        })
    }
}

/// Why the terminal is not enrolled, or not renewed. What was stored before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The configuration has no provider.
    #[error("no provider is configured; write [provider] as purser.toml(5) shows")]
    NotConfigured,
    /// What was typed is no code.
    #[error("a code has 1 to {CODE_BYTES_MAX} characters; type what the provider's operator gave out")]
    Code,
    /// The authority's certificate cannot be read.
    #[error("the authority {} cannot be read: {source}; put the file there that the provider handed out", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why. Told in this error's own words too, so it is no source.
        source: std::io::Error,
    },
    /// A certificate is none.
    #[error("{0}; have the provider hand out its authority's file again")]
    Certificates(String),
    /// The state folder cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A sealed batch waits, which another terminal sealed, or for another provider.
    #[error(
        "batch {0} was sealed as another terminal or for another provider, and only that one gets its permit or its void; settle \
         it there, or void it with purserctl batch void, then run this again"
    )]
    BatchUnderWay(OperationId),
    /// Whether a batch is under way cannot be seen.
    #[error("the journal cannot be read: {0}; run purserd verify-journal, then run it again")]
    Journal(String),
    /// The provider gave no answer, or refused.
    #[error("{failure}; {}", after(failure))]
    NotDone {
        /// What happened.
        failure: ProviderFailure,
    },
    /// The answer is none of the contract.
    #[error("the provider's answer cannot be used: {0}; tell its operator")]
    BadAnswer(String),
    /// The answer is of another provider.
    #[error(
        "the provider calls itself {told}, and provider.name is {configured}; look which is right, then run it again"
    )]
    OtherProvider {
        /// What it calls itself.
        told: ProviderName,
        /// The configured name.
        configured: ProviderName,
    },
    /// The answer names another authority.
    #[error("the provider's authority is not the one of provider.authority; have the file handed out again")]
    OtherAuthority,
    /// The provider means to call in another way.
    #[error(
        "the provider calls this terminal by {told:?}, and provider.mode is {configured:?}; set the same, then run it again"
    )]
    OtherMode {
        /// How it calls.
        told: &'static str,
        /// The configured way.
        configured: &'static str,
    },
    /// The code is of a terminal with another PSAM.
    #[error(
        "the code is for the PSAM terminal number {told}, and terminal.psam_terminal_number is {configured}; use this \
         terminal's own code, or set the number that the provider gave it"
    )]
    OtherTerminalNumber {
        /// The number that the provider has.
        told: String,
        /// The configured number.
        configured: String,
    },
}

fn after(failure: &ProviderFailure) -> &'static str {
    if failure.is_transient {
        "run the same command again: it may be done already, and is done once"
    } else {
        "nothing was changed here"
    }
}

impl EnrolError {
    /// True when the same command can succeed later by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotDone { failure } => failure.is_transient,
            Self::Files(error) => error.is_transient(),
            Self::NotConfigured
            | Self::Code
            | Self::Authority { .. }
            | Self::Certificates(_)
            | Self::BadAnswer(_)
            | Self::OtherProvider { .. }
            | Self::OtherAuthority
            | Self::OtherMode { .. }
            | Self::BatchUnderWay(_)
            | Self::Journal(_)
            | Self::OtherTerminalNumber { .. } => false,
        }
    }

    /// Its name, as `--json` tells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotConfigured => "NotConfigured",
            Self::Code => "BadCode",
            Self::Authority { .. } => "AuthorityUnreadable",
            Self::Certificates(_) => "BadCertificate",
            Self::Files(error) => error.name(),
            Self::NotDone { failure } => failure.name,
            Self::BadAnswer(_) => super::names::BAD_ANSWER,
            Self::OtherProvider { .. } => "OtherProvider",
            Self::OtherAuthority => "OtherAuthority",
            Self::OtherMode { .. } => "OtherMode",
            Self::BatchUnderWay(_) => "BatchUnderWay",
            Self::Journal(_) => "JournalUnreadable",
            Self::OtherTerminalNumber { .. } => "OtherTerminalNumber",
        }
    }
}

impl From<TlsError> for EnrolError {
    fn from(error: TlsError) -> Self {
        Self::Certificates(error.to_string())
    }
}

/// The verb: enrols, and tells what came of it.
pub(crate) fn enrol(config: &Config, state_dir: &Path, how: &cli::Enrol) -> Exit {
    let wanted = match (&how.code, how.renew) {
        (Some(code), false) => Enrolment::Code(code.trim().to_owned()),
        // The command line has exactly one of the two.
        (Some(_) | None, _) => Enrolment::Renewal,
    };
    // A core would hold the key.
    let hardened = crate::run::harden().map_err(std::io::Error::from);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = hardened.and_then(|()| builder.enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failed;
        }
    };
    let enrolled = runtime.block_on(enrol_with(
        config.provider.as_ref(),
        config.psam_terminal_number,
        state_dir,
        &wanted,
    ));
    // A name that is still being looked up holds nothing that is waited for.
    runtime.shutdown_background();
    match enrolled {
        Ok(pinned) => {
            tell(&pinned, how.json);
            Exit::Done
        }
        Err(error) => {
            if how.json {
                let said = error.to_string();
                let (cause, remedy) = said.rsplit_once("; ").unwrap_or((&said, ""));
                let (name, transient) = (error.name(), error.is_transient());
                let told = json!({ "error": name, "cause": cause, "remedy": remedy, "transient": transient });
                println!("{told}");
            } else {
                eprintln!("error: {error} ({})", error.name());
            }
            Exit::Failed
        }
    }
}

fn tell(pinned: &Pinned, as_json: bool) {
    let (expires, merchant) = (pinned.certificate_expires_unix_seconds, pinned.merchant());
    if as_json {
        let told = json!({
            "provider": pinned.provider.as_str(), "terminal": pinned.terminal.as_str(),
            "merchant": merchant.map(|it| &it.name), "psam_number": merchant.map(|it| &it.psam_number),
            "provider_account": merchant.map(|it| String::from_utf8_lossy(it.account.digits())),
            "bank_terminal": merchant.map(|it| String::from_utf8_lossy(it.bank_terminal.as_bytes())),
            "mode": mode_name(pinned.mode), "certificate_expires_at": expires,
        });
        println!("{told}");
        return;
    }
    let until = jiff::Timestamp::from_second(expires).map_or_else(
        |_| expires.to_string(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    );
    let (provider, terminal) = (&pinned.provider, &pinned.terminal);
    match merchant {
        Some(merchant) => println!(
            "enrolled at {provider} as {terminal}, a terminal of {}; the certificate is good until {until}\npermits pay from the \
             account {}",
            merchant.name,
            String::from_utf8_lossy(merchant.account.digits()),
        ),
        None => println!(
            "enrolled at {provider} as {terminal}, which loads cards; the certificate is good until {until}"
        ),
    }
}

/// Enrols or renews, and stores what came of it below `state_dir`.
///
/// # Errors
/// [`EnrolError`] with its remedy. Where it is transient, the same call again ends well, whatever became of this one.
pub async fn enrol_with(
    provider: Option<&config::Provider>,
    number: PsamTerminalNumber,
    state_dir: &Path,
    wanted: &Enrolment,
) -> Result<Pinned, EnrolError> {
    let provider = provider.ok_or(EnrolError::NotConfigured)?;
    let authority = authority(&provider.authority)?;
    let time = Duration::from_millis(provider.answer_ms);
    let folder = Folder::open(state_dir)?;
    let stored = folder.stored()?;
    let asking = match (wanted, stored) {
        (Enrolment::Code(code), stored) => with_code(&folder, stored, &authority, code)?,
        (Enrolment::Renewal, Some((identity, _))) => renewal(&folder, &identity)?,
        (Enrolment::Renewal, None) => {
            return Err(FilesError::NotEnrolled(state_dir.join("provider/identity.json")).into());
        }
    };
    let asked = async {
        let mut line = tls::connect(&asking.connector, &provider.address, time).await?;
        line.ask::<Enrolled>(Ask::post(asking.path, asking.body, time))
            .await
    };
    let enrolled = asked.await.map_err(|error: AskError| EnrolError::NotDone {
        failure: failure::of("enrolling", &error),
    })?;
    let pinned = Pinned::try_from(&enrolled).map_err(|error| EnrolError::BadAnswer(error.to_string()))?;
    fits(&pinned, provider, &authority, number)?;
    if asking.stays.is_some_and(|before| !before.has_same_facts(&pinned)) {
        let text = "it changes what enrolment pinned, which only a new code may";
        return Err(EnrolError::BadAnswer(text.to_owned()));
    }
    nothing_waits_for_another(state_dir, &pinned)?;
    // Refuses a certificate of another key.
    let key =
        DeviceKey::from_pkcs8(&asking.pkcs8).map_err(|error| EnrolError::BadAnswer(error.to_string()))?;
    tls::client(&pinned.authority, Some((&pinned.certificate, &key)))
        .map_err(|error| EnrolError::BadAnswer(error.to_string()))?;
    let document = identity::encode(&asking.code, &asking.pkcs8, &enrolled);
    folder.replace(&document, &asking.pending)?;
    Ok(pinned)
}

/// What is asked, and with which key.
struct Asking {
    connector: TlsConnector,
    path: &'static str,
    body: Value,
    pkcs8: zeroize::Zeroizing<Vec<u8>>,
    /// The digest of the code.
    code: String,
    /// The file in which the key waits for the answer.
    pending: String,
    /// What the answer must not change (money rule T4).
    stays: Option<Pinned>,
}

fn with_code(
    folder: &Folder,
    stored: Option<(Identity, zeroize::Zeroizing<Vec<u8>>)>,
    authority: &[u8],
    code: &str,
) -> Result<Asking, EnrolError> {
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(EnrolError::Code);
    }
    let digest = hex::encode(Sha256::digest(code.as_bytes()));
    let pending = format!("enrolment-{}.key", &digest[..16]);
    let pkcs8 = match stored {
        // Done before: the provider says the same again.
        Some((identity, pkcs8)) if identity.code == digest => pkcs8,
        Some(_) | None => folder.pending_key(&pending)?,
    };
    let (public_key, proof) = prove(&pkcs8, &[b"purser enrolment", code.as_bytes()])?;
    Ok(Asking {
        connector: tls::client(authority, None)?,
        path: "/v1/enrolment",
        body: json!({ "code": code, "public_key": public_key, "proof": proof }),
        pkcs8,
        code: digest,
        pending,
        stays: None,
    })
}

fn renewal(folder: &Folder, identity: &Identity) -> Result<Asking, EnrolError> {
    let pinned = &identity.pinned;
    let pkcs8 = folder.pending_key(RENEWAL)?;
    let name = pinned.terminal.as_str().as_bytes();
    let (public_key, proof) = prove(&pkcs8, &[b"purser renewal", name])?;
    let terminal = (&pinned.certificate[..], &identity.key);
    Ok(Asking {
        connector: tls::client(&pinned.authority, Some(terminal))?,
        path: "/v1/renewal",
        body: json!({ "public_key": public_key, "proof": proof }),
        pkcs8,
        code: String::new(),
        pending: RENEWAL.to_owned(),
        stays: Some(pinned.clone()),
    })
}

/// The public half, and the proof that the private half is held, in hex.
fn prove(pkcs8: &[u8], about: &[&[u8]]) -> Result<(String, String), EnrolError> {
    let bad = |error: super::key::KeyError| EnrolError::Certificates(error.to_string());
    let key = DeviceKey::from_pkcs8(pkcs8).map_err(bad)?;
    let signed = [&about.concat()[..], key.public_key()].concat();
    let proof = key.sign(&signed).map_err(bad)?;
    Ok((hex::encode(key.public_key()), hex::encode(proof)))
}

/// What the provider says must be what the operator configured.
fn fits(
    pinned: &Pinned,
    provider: &config::Provider,
    authority: &[u8],
    number: PsamTerminalNumber,
) -> Result<(), EnrolError> {
    if pinned.provider != provider.name {
        return Err(EnrolError::OtherProvider {
            told: pinned.provider.clone(),
            configured: provider.name.clone(),
        });
    }
    if pinned.authority != authority {
        return Err(EnrolError::OtherAuthority);
    }
    if pinned.mode != provider.mode {
        return Err(EnrolError::OtherMode {
            told: mode_name(pinned.mode),
            configured: mode_name(provider.mode),
        });
    }
    let configured = number.to_hex();
    match pinned.merchant() {
        Some(merchant) if merchant.psam_number != configured => Err(EnrolError::OtherTerminalNumber {
            told: merchant.psam_number.clone(),
            configured,
        }),
        Some(_) | None => Ok(()),
    }
}

fn authority(path: &Path) -> Result<Vec<u8>, EnrolError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(AUTHORITY_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| EnrolError::Authority {
        path: path.to_owned(),
        source,
    })
}

/// Refuses while a batch waits that was sealed as another terminal, or for another provider: it would wait for ever.
fn nothing_waits_for_another(state_dir: &Path, pinned: &Pinned) -> Result<(), EnrolError> {
    if !state_dir.join("journal.db").exists() {
        return Ok(());
    }
    let unreadable = |error: &dyn std::error::Error| EnrolError::Journal(chain(error));
    let reader = Reader::open(state_dir).map_err(|error| unreadable(&error))?;
    let sealed = reader.batches(None, BATCHES_LOOKED_AT);
    for (_, settlement) in sealed.map_err(|error| unreadable(&error))? {
        let batch = Batch::decode(&settlement.sealed.batch).map_err(|error| unreadable(&error))?;
        let is_ours = batch.owner == pinned.terminal && batch.provider == pinned.provider;
        if settlement.is_under_way() && !is_ours {
            return Err(EnrolError::BatchUnderWay(settlement.id));
        }
    }
    Ok(())
}
