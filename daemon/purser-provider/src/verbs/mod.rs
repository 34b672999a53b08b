//! What each verb does. A change is one commit: done, or nothing happened.

pub(crate) mod accounts;
pub(crate) mod batches;
pub(crate) mod cards;
mod claims;
pub(crate) mod hotlist;
pub(crate) mod keys;
mod loads;
pub(crate) mod parameters;
pub(crate) mod permits;
pub(crate) mod queries;
pub(crate) mod terminals;

use std::path::PathBuf;

use purser_provider_link::ProviderName;
use serde_json::json;

use crate::authority::{self, now_unix_seconds};
use crate::cli::{CardKeys, Cli, Init, Verb};
use crate::fault::{Exit, Failure, Fault};
use crate::folder::Folder;
use crate::masters::KeyFile;
use crate::show::Shown;
use crate::store::{Provider, Store};
pub(crate) use keys::in_use;
pub(crate) use terminals::code_digest;

/// Does what the command line says.
pub(crate) fn run(cli: &Cli) -> Result<Exit, Failure> {
    let folder = Folder::new(&cli.dir);
    let shown = match &cli.verb {
        Verb::Audit(given) => return audit(cli, &folder, given),
        Verb::Serve(serve) => return crate::serve::serve(&folder, serve, cli.json),
        Verb::Init(init) => make(init)?,
        Verb::Bank(verb) => accounts::bank(&mut Store::open(&folder)?, verb)?,
        Verb::Merchant(verb) => accounts::merchant(&mut Store::open(&folder)?, verb)?,
        Verb::Terminal(verb) => terminals::terminal(&mut Store::open(&folder)?, verb)?,
        Verb::Card(verb) => cards::card(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Key(verb) => keys::key(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Load(verb) => loads::load(&mut Store::open(&folder)?, verb)?,
        Verb::Batch(verb) => batches::batch(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Parameters(verb) => parameters::parameters(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Permit(verb) => permits::permit(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Claims(verb) => claims::claims(&mut Store::open(&folder)?, verb)?,
        Verb::Queries(verb) => queries::queries(&mut Store::open(&folder)?, &folder, verb)?,
        Verb::Alarms { limit } => claims::alarms(&Store::open(&folder)?, *limit)?,
        Verb::Liability => claims::liability(&Store::open(&folder)?)?,
        Verb::Hotlist(verb) => hotlist::hotlist(&mut Store::open(&folder)?, verb)?,
    };
    shown.print(cli.json)?;
    Ok(Exit::Done)
}

fn audit(cli: &Cli, folder: &Folder, given: &CardKeys) -> Result<Exit, Failure> {
    let store = Store::open(folder)?;
    let signing_key = crate::folder::read_public(&folder.signing_public_key())?;
    let findings = crate::audit::audit(&store, &key_file(folder, given)?, &signing_key)?;
    if findings.is_empty() {
        Shown::one("everything agrees with its evidence", json!({ "findings": 0 })).print(cli.json)?;
        return Ok(Exit::Done);
    }
    Shown::list(&["finding", "what"], findings).print(cli.json)?;
    Ok(Exit::Refused)
}

/// Makes a new provider.
pub(crate) fn make(init: &Init) -> Result<Shown, Failure> {
    let name = ProviderName::new(init.name.as_str()).map_err(|error| {
        Fault::invalid(
            "Name",
            error.to_string(),
            "give a name of 1 to 64 visible ASCII characters",
        )
    })?;
    let folder = Folder::new(&init.dir);
    folder.make()?;
    authority::make(&folder, name.as_str(), &init.hosts)?;
    let provider = Provider {
        name: name.as_str().to_owned(),
        is_lab: init.lab,
    };
    // Last: a folder without a data base is not a provider's, and whoever makes it anew begins with an empty one.
    Store::create(&folder, &provider, now_unix_seconds())?;
    let key = hex::encode(crate::folder::read_public(&folder.signing_public_key())?);
    let certificate = folder.authority_certificate().display().to_string();
    Ok(Shown::one(
        format!("made provider {name}; terminals get {certificate} to know it by"),
        json!({ "provider": name.as_str(), "lab": init.lab, "signing_key": key, "authority_certificate": certificate }),
    ))
}

/// Reads the card master keys from where the command line, systemd or the folder has them.
pub(crate) fn key_file(folder: &Folder, given: &CardKeys) -> Result<KeyFile, Failure> {
    let of_systemd =
        || std::env::var_os("CREDENTIALS_DIRECTORY").map(|it| PathBuf::from(it).join("card-keys"));
    let path = given
        .card_keys
        .clone()
        .or_else(|| of_systemd().filter(|path| path.exists()))
        .unwrap_or_else(|| folder.path().join("card-keys"));
    KeyFile::read(&path)
}

/// Bytes out of hex digits of the command line.
pub(crate) fn hex_bytes<const N: usize>(name: &'static str, digits: &str) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| {
        let cause = format!("{digits:?} is not {} hex digits", 2 * N);
        Fault::invalid(name, cause, "give all digits, without blanks")
    })?;
    Ok(bytes)
}
