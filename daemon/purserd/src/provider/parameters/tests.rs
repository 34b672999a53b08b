//! What is taken, what is refused, and what a damaged file is worth.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use purser_ledger::{CardId, Scheme};
use purser_provider_link::ProviderName;
use tempfile::TempDir;

use super::kept::Unusable;
use super::*;
use crate::provider::identity::Enrolled;
use crate::provider::key::{DeviceKey, generate};

pub(crate) const NOW: i64 = 1_800_000_000;
const WARN_AFTER: u32 = 4_000;

/// A provider with its signing key, and a terminal that has pinned it.
pub(crate) struct World {
    key: DeviceKey,
    pub(crate) pinned: Pinned,
    state: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = DeviceKey::from_pkcs8(&generate().unwrap()).unwrap();
        let enrolled = Enrolled {
            provider: "provider.example".to_owned(),
            terminal: "till-1".to_owned(),
            role: "merchant".to_owned(),
            merchant: Some("kiosk".to_owned()),
            psam_number: Some("000000000001".to_owned()),
            bank_terminal: Some("KIOSK001".to_owned()),
            provider_account: Some("000100110000001".to_owned()),
            call_back: "standing".to_owned(),
            certificate: Vec::new(),
            certificate_expires_at: 0,
            authority: Vec::new(),
            signing_key: key.public_key().to_vec(),
        };
        let pinned = Pinned::try_from(&enrolled).unwrap();
        let state = tempfile::tempdir().unwrap();
        Self { key, pinned, state }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.state.path()
    }

    fn file(&self) -> PathBuf {
        self.dir().join("provider/parameters.json")
    }

    fn signed(&self, parameters: &Parameters) -> Signed {
        let document = parameters.encode();
        let signature = self.key.sign(&document).unwrap();
        Signed { document, signature }
    }

    pub(crate) fn renew(
        &self,
        known: Option<&Known>,
        parameters: &Parameters,
        at: i64,
    ) -> Result<Known, NotTaken> {
        let renewed = renew(self.dir(), &self.pinned, known, &self.signed(parameters), at)?;
        assert!(renewed.not_kept.is_none());
        Ok(renewed.known)
    }

    /// What a start finds.
    fn read(&self) -> Result<Option<Known>, Unusable> {
        read(self.dir(), &self.pinned)
    }
}

pub(crate) fn version(version: u64) -> Parameters {
    Parameters {
        provider: ProviderName::new("provider.example").unwrap(),
        version,
        made_at_unix_seconds: NOW,
        warn_after_seconds: WARN_AFTER,
        stale_after_seconds: 2 * WARN_AFTER,
        is_software_sam_allowed: true,
        currencies: Vec::new(),
        key_versions: vec![1],
        hot_list_version: 1,
        hot_list: vec![CardId::new(Scheme::Pboc, [7; 10])],
    }
}

#[test]
fn what_is_taken_is_there_after_a_restart_with_when_it_was_heard() {
    let world = World::new();
    assert!(world.read().unwrap().is_none());
    let known = world.renew(None, &version(3), NOW).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
    let next = world.renew(Some(&known), &version(4), NOW + 1).unwrap();
    let read = world.read().unwrap().unwrap().heard;
    assert_eq!(
        (read.parameters.version, read.heard_at_unix_seconds),
        (4, NOW + 1)
    );
    assert_eq!(read, next.heard);
    let mode = fs::metadata(world.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_earlier_version_and_other_content_under_the_same_one_are_refused_and_told() {
    let world = World::new();
    let known = world.renew(None, &version(3), NOW).unwrap();
    let back = world.renew(Some(&known), &version(2), NOW + 1);
    assert!(matches!(back, Err(NotTaken::GoesBack { sent: 2, known: 3 })));
    let other = Parameters {
        hot_list: Vec::new(),
        ..version(3)
    };
    let differs = world.renew(Some(&known), &other, NOW + 1);
    assert!(matches!(differs, Err(NotTaken::Differs(3))));
    for (refused, name) in [(back, "ParametersGoBack"), (differs, "ParametersDiffer")] {
        let failure = ProviderFailure::from(refused.unwrap_err());
        assert_eq!((failure.name, failure.is_transient), (name, false));
    }
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
}

#[test]
fn another_signature_another_provider_and_another_document_are_not_believed() {
    let world = World::new();
    let of_other = World::new().signed(&version(1));
    let unsigned = renew(world.dir(), &world.pinned, None, &of_other, NOW);
    assert!(matches!(
        unsigned,
        Err(NotTaken::NotBelieved(NotBelieved::Signature))
    ));
    let elsewhere = Parameters {
        provider: ProviderName::new("another.example").unwrap(),
        ..version(1)
    };
    let elsewhere = world.renew(None, &elsewhere, NOW);
    assert!(matches!(
        elsewhere,
        Err(NotTaken::NotBelieved(NotBelieved::OtherProvider))
    ));
    let document = b"a permit, say".to_vec();
    let signature = world.key.sign(&document).unwrap();
    let permit = renew(
        world.dir(),
        &world.pinned,
        None,
        &Signed { document, signature },
        NOW,
    );
    assert!(matches!(
        permit,
        Err(NotTaken::NotBelieved(NotBelieved::Document(_)))
    ));
    assert!(!world.file().exists(), "nothing of it is kept");
}

#[test]
fn a_file_that_is_torn_or_changed_at_any_byte_is_never_in_force_with_other_content() {
    let world = World::new();
    let known = world.renew(None, &version(3), NOW).unwrap();
    let whole = fs::read(world.file()).unwrap();
    for length in 0..whole.len() {
        fs::write(world.file(), &whole[..length]).unwrap();
        assert!(world.read().is_err(), "{length} bytes of it");
    }
    for place in 0..whole.len() {
        let mut spoilt = whole.clone();
        spoilt[place] ^= 1;
        fs::write(world.file(), &spoilt).unwrap();
        match world.read() {
            Err(Unusable::Layout | Unusable::NotBelieved(_)) => {}
            // A digit of the time: nobody has signed that.
            Ok(Some(read)) => assert_eq!(read.heard.parameters, known.heard.parameters, "{place}"),
            other => panic!("byte {place}: {other:?}"),
        }
    }
    // The next ones take its place.
    world.renew(None, &version(3), NOW).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
}

#[test]
fn a_file_of_another_provider_or_open_to_others_is_as_good_as_none() {
    let (world, other) = (World::new(), World::new());
    world.renew(None, &version(3), NOW).unwrap();
    other.renew(None, &version(9), NOW).unwrap();
    fs::copy(other.file(), world.file()).unwrap();
    let read = world.read();
    assert!(matches!(read, Err(Unusable::NotBelieved(NotBelieved::Signature))));
    world.renew(None, &version(3), NOW).unwrap();
    fs::set_permissions(world.file(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(world.read(), Err(Unusable::OpenToOthers)));
}

#[test]
fn what_was_written_to_its_end_and_not_put_in_place_changes_nothing() {
    let world = World::new();
    let known = world.renew(None, &version(3), NOW).unwrap();
    fs::write(world.dir().join("provider/parameters.json.new"), b"{").unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
    let next = world.renew(Some(&known), &version(4), NOW).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, next.heard);
}

#[test]
fn what_is_heard_again_wears_out_no_disk_and_is_kept_before_it_looks_old() {
    let world = World::new();
    let quarter = i64::from(WARN_AFTER / 4);
    let first = world.renew(None, &version(3), NOW).unwrap();
    let soon = world.renew(Some(&first), &version(3), NOW + quarter - 1).unwrap();
    assert_eq!(soon.heard.heard_at_unix_seconds, NOW + quarter - 1);
    assert_eq!(
        world.read().unwrap().unwrap().heard,
        first.heard,
        "the file stays"
    );
    let later = world.renew(Some(&soon), &version(3), NOW + quarter).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, later.heard);
    // A clock that was set back is what counts from then on.
    let back = world.renew(Some(&later), &version(3), NOW - 1).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, back.heard);
}

#[test]
fn the_longest_hot_list_is_taken_kept_and_found_again() {
    let world = World::new();
    let card = |number: usize| {
        let mut serial = [0xFF; 10];
        serial[2..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        CardId::new(Scheme::Pboc, serial)
    };
    let longest = Parameters {
        hot_list: (0..HOT_LIST_MAX).map(card).collect(),
        ..version(3)
    };
    let signed = world.signed(&longest);
    assert!(
        signed.document.len() <= DOCUMENT_BYTES_MAX,
        "{}",
        signed.document.len()
    );
    let known = renew(world.dir(), &world.pinned, None, &signed, NOW)
        .unwrap()
        .known;
    let read = world.read().unwrap().unwrap().heard;
    assert_eq!(read, known.heard);
    assert!(read.parameters.lists(&card(HOT_LIST_MAX - 1)) && !read.parameters.lists(&card(HOT_LIST_MAX)));
}

#[test]
fn acknowledgements_are_there_after_a_restart_in_their_order_and_the_first_number_of_a_version_counts() {
    let world = World::new();
    let taken = |version, from_terminal_sn| HotListTaken {
        version,
        from_terminal_sn,
    };
    let mut known = world.renew(None, &version(3), NOW).unwrap();
    assert!(known.acknowledge(taken(1, 41)));
    known.keep(world.dir()).unwrap();
    // Two restarts: the engine finds another number, and the provider has not answered yet when the next list comes.
    let mut known = world.read().unwrap().unwrap();
    assert!(!known.acknowledge(taken(1, 57)));
    let mut known = world.renew(Some(&known), &version(4), NOW).unwrap();
    assert!(known.acknowledge(taken(2, 60)));
    known.keep(world.dir()).unwrap();
    let mut known = world.read().unwrap().unwrap();
    assert_eq!(known.first_acknowledgement(), Some(taken(1, 41)));
    assert!(known.forget_first_acknowledgement());
    assert_eq!(known.first_acknowledgement(), Some(taken(2, 60)));
    assert!(!known.forget_first_acknowledgement(), "the list in force stays");
    // However many the provider does not take, the file can be read.
    (0..100).for_each(|more| assert!(known.acknowledge(taken(u64::MAX - more, u32::MAX))));
    known.keep(world.dir()).unwrap();
    assert_eq!(
        world.read().unwrap().unwrap().acknowledgements,
        known.acknowledgements
    );
}

#[test]
fn a_file_from_before_acknowledgements_were_kept_is_as_good_as_ever() {
    let world = World::new();
    let known = world.renew(None, &version(3), NOW).unwrap();
    let text = fs::read_to_string(world.file()).unwrap();
    let before = text.replace(",\"acknowledgements\":[]", "");
    assert_ne!(text, before);
    fs::write(world.file(), before).unwrap();
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
}

#[test]
fn the_same_parameters_are_fresh_again_though_the_file_cannot_be_written_and_new_ones_are_not_taken() {
    let world = World::new();
    let known = world.renew(None, &version(3), NOW).unwrap();
    let later = NOW + i64::from(WARN_AFTER);
    // A folder under the file's name until it is whole: nothing can be written there.
    fs::create_dir_all(world.dir().join("provider/parameters.json.new/full")).unwrap();
    let signed = |parameters| world.signed(&parameters);
    let again = renew(
        world.dir(),
        &world.pinned,
        Some(&known),
        &signed(version(3)),
        later,
    )
    .unwrap();
    assert_eq!(again.known.heard.heard_at_unix_seconds, later);
    assert!(again.not_kept.is_some());
    assert_eq!(world.read().unwrap().unwrap().heard, known.heard);
    let new = renew(
        world.dir(),
        &world.pinned,
        Some(&known),
        &signed(version(4)),
        later,
    );
    let failure = ProviderFailure::from(new.unwrap_err());
    assert_eq!((failure.name, failure.is_transient), ("ParametersNotKept", false));
}
