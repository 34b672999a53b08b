//! `purserd doctor`: looks at everything on this machine that purserd needs, whether it runs or not, and changes nothing.
//!
//! What only the running daemon knows, such as how its drivers do, `purserctl doctor` asks it; that command runs this one too.

mod journal;
mod provider;
mod system;

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use purser_api::model::Problem;
use purser_driver_supervisor::manifest::{ManifestError, check};
use serde::Serialize;
use serde_json::json;

use crate::cli::Places;
use crate::config::{Config, ConfigError, Devices, Driver, Sam, driver_of};
use crate::credential;
use crate::exit::Exit;
use crate::verbs::chain;

/// Something that is wrong, or will be soon.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// A fixed name.
    name: String,
    /// What is wrong.
    cause: String,
    /// What to do about it.
    remedy: String,
}

impl Finding {
    fn new(name: &str, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }

    /// An error of ours says what is wrong, and behind a semicolon what to do; where it does not, `remedy` does.
    fn of(name: &str, error: &(dyn Error + 'static), remedy: &str) -> Self {
        let said = error.to_string();
        let (cause, told) = said.split_once("; ").unwrap_or((&said, remedy));
        let whole = chain(error);
        let reasons = whole.strip_prefix(&said).unwrap_or_default();
        Self::new(name, format!("{cause}{reasons}"), told)
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        Self::new(&problem.name, problem.cause, problem.remedy)
    }
}

/// Looks, and tells what it found.
pub(crate) fn doctor(places: &Places, as_json: bool) -> Exit {
    let findings = look(places);
    if as_json {
        println!("{}", json!({ "findings": findings }));
    } else {
        for Finding { name, cause, remedy } in &findings {
            println!("{name}: {cause}\n  what to do: {remedy}\n");
        }
        println!("{} findings", findings.len());
    }
    if findings.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn look(places: &Places) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match Config::load(&places.config) {
        Ok(config) => Some(config),
        Err(errors) => {
            findings.extend(errors.iter().map(config_finding));
            None
        }
    };
    let daemon_uid = daemon_uid(&places.state_dir);
    if let Some(config) = &config {
        findings.extend(credential_finding(config, places, daemon_uid));
        findings.extend(driver_findings(config, daemon_uid));
        findings.extend(shared_driver_finding(config));
        findings.extend(system::readers(config));
        findings.extend(provider::look(config, &places.state_dir));
    }
    findings.extend(journal::look(&places.state_dir, config.as_ref()));
    findings.extend(generation_finding(&places.state_dir));
    findings.extend(system::run_folder(&places.run_dir));
    findings
}

/// A terminal whose generation is not known does not start: it would sell under a wrong one (money rule T1).
fn generation_finding(state_dir: &Path) -> Option<Finding> {
    let error = crate::generation::read(state_dir).err()?;
    let remedy = "put the file generation back from a copy, or do as the cause says";
    Some(Finding::of("generation_unusable", &error, remedy))
}

/// The user that purserd runs as: the owner of its state folder, where there is one.
fn daemon_uid(state_dir: &Path) -> u32 {
    fs::metadata(state_dir).map_or_else(|_| rustix::process::geteuid().as_raw(), |folder| folder.uid())
}

fn config_finding(error: &ConfigError) -> Finding {
    let said = chain(error);
    let (cause, remedy) = said.split_once("\n   = help: ").unwrap_or((
        &said,
        "correct the file at this place; purser.toml(5) explains each key",
    ));
    Finding::new("configuration_wrong", cause, remedy)
}

fn credential_finding(config: &Config, places: &Places, daemon_uid: u32) -> Option<Finding> {
    let Sam::Credential(file) = &config.sam else {
        // A PSAM card keeps its keys; the running daemon tells how it does.
        return None;
    };
    let folder = places.config.parent().unwrap_or(Path::new("."));
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let path = credential::locate(file, folder, credentials.as_deref());
    let is_bare = file.components().count() == 1;
    if is_bare && credentials.is_none() && !path.exists() {
        return Some(Finding::new(
            "credential_not_seen",
            format!(
                "there is no {}; as a service purserd may get it from systemd",
                path.display()
            ),
            "look at LoadCredential= of purserd.service, or put the file there (owner purserd's user, mode 0600)",
        ));
    }
    credential::load_sam(&path, daemon_uid).err().map(|error| {
        let remedy = "write it as purser.toml(5) says, and give it to purserd's user with mode 0600";
        Finding::of("credential_unusable", &error, remedy)
    })
}

fn driver_findings(config: &Config, daemon_uid: u32) -> Vec<Finding> {
    if config.drivers.is_empty() {
        return vec![Finding::new(
            "no_driver",
            "no driver is configured",
            "write a file for each into drivers.d; purser.toml(5) says how",
        )];
    }
    let refused = config.drivers.iter().filter_map(|driver| {
        let error = check(&driver.path).err()?;
        // purserd takes its own user's files, which are another's for whoever asks here.
        let is_daemons = matches!(&error, ManifestError::Owner { owner, .. } if *owner == daemon_uid);
        (!is_daemons).then(|| {
            let mut finding = Finding::of("driver_refused", &error, "install the driver again");
            finding.cause = format!("{}: {}", driver.name, finding.cause);
            finding
        })
    });
    refused.collect()
}

/// A driver does one thing at a time: a buyer's card that takes its time keeps a PSAM behind the same driver from answering.
fn shared_driver_finding(config: &Config) -> Option<Finding> {
    let Sam::Psam { reader, .. } = &config.sam else {
        return None;
    };
    let name = driver_of(reader);
    let serves_others = |driver: &Driver| driver.name.as_str() == name && driver.devices == Devices::Many;
    config.drivers.iter().any(serves_others).then(|| {
        Finding::new(
            "psam_shares_driver",
            format!(
                "the driver {name} serves the PSAM's reader {reader} and others, one call at a time: a card that answers \
                 slowly keeps the PSAM from checking another one, and that sale ends in doubt"
            ),
            "give the PSAM's reader a driver of its own in drivers.d, and let each of the two leave the other's readers alone",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] std::io::Error);

    /// What is found where the PSAM is in this reader, and the driver `readers` serves so many devices.
    fn shared(reader: &str, devices: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write(
            "drivers.d/readers.toml",
            &format!("path = \"none.so\"\ndevices = \"{devices}\"\n"),
        );
        write(
            "purser.toml",
            &format!(
                "terminal.psam_terminal_number = \"010203040506\"\nsam.psam = {{ reader = \"{reader}\" }}\n\
                 issuers.0102030405060708 = \"JPY\"\n"
            ),
        );
        let config = Config::load(&folder.path().join("purser.toml")).expect("a whole configuration");
        shared_driver_finding(&config).map(|finding| finding.name)
    }

    #[test]
    fn a_psam_behind_a_driver_that_serves_other_readers_too_is_found() {
        let name = "psam_shares_driver".to_owned();
        assert_eq!(shared("readers/sam", "many"), Some(name));
        assert_eq!(shared("readers", "one"), None);
    }

    #[test]
    fn an_error_is_told_with_its_reasons_and_its_own_remedy_where_it_has_one() {
        let reason = || std::io::Error::other("the disk is gone");
        let finding = Finding::of("x", &Told("it is broken; mend it", reason()), "call for help");
        assert_eq!(finding.cause, "it is broken: the disk is gone");
        assert_eq!(finding.remedy, "mend it");
        let finding = Finding::of("x", &Told("it is broken", reason()), "call for help");
        assert_eq!(finding.remedy, "call for help");
    }
}
