//! What only the bank may read of a permit is nowhere at the terminal (money rule B1).

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::canary::{Needle, control, core_of, of_bytes, search_all};
use e2e::settle::shop::{Shop, Template};
use e2e::{Fault, ensure};
use purser_journal::Reader;
use purser_lab::stack::{BANK_KEY, PROVIDER};
use purser_ledger::BatchStanding;
use purser_provider_link::Permit;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

/// The length of an uncompressed point of P-256.
const POINT_BYTES: usize = 65;
/// Where the secret stands in an open token, as the provider documents it.
const SECRET: std::ops::Range<usize> = 67..83;

#[test]
fn the_providers_secret_for_the_bank_is_nowhere_at_the_terminal() -> Result<(), Fault> {
    let template = Template::sold()?;
    let mut shop = Shop::copy(&template)?;
    shop.stack.options_mut().log = "debug".to_owned();
    shop.rise()?;
    let before = shop.dir().join("core-before");
    core_of(shop.stack.purserd_id().ok_or("purserd does not run")?, &before)?;
    shop.settle()?;
    let after = shop.dir().join("core-after");
    core_of(shop.stack.purserd_id().ok_or("purserd does not run")?, &after)?;

    let layout = shop.stack.layout();
    let permit = permit(&layout.state_dir())?;
    let secret = secret(&permit)?;
    let needles = of_bytes("secret", &secret);
    // The sealed token is where the secret would be: in the journal, and in the process that has just stored it.
    let sealed = of_bytes("sealed token", &permit.sealed_token[POINT_BYTES..]);
    for place in [layout.state_dir(), after.clone()] {
        is_found(&place, &sealed)?;
    }
    is_found(&before, &[control(PROVIDER)])?;
    let places = [
        layout.state_dir(),
        layout.config_dir(),
        layout.run_dir(),
        layout.log(),
        before,
        after,
    ];
    let hits = search_all(&places, &needles)?;
    ensure(hits.is_empty(), || {
        format!("the secret is at the terminal: {hits:?}")
    })?;
    // The provider itself keeps only what it has sealed.
    let hits = search_all(&[shop.dir().join("provider")], &needles)?;
    ensure(hits.is_empty(), || {
        format!("the secret is in the provider's folder: {hits:?}")
    })?;
    planted_is_found(&shop, &secret, &needles)
}

/// The same search finds it in each form in a file of the state folder, and in a core of a process that keeps it.
fn planted_is_found(shop: &Shop, secret: &[u8], needles: &[Needle]) -> Result<(), Fault> {
    let state_dir = shop.stack.layout().state_dir();
    let hex = hex::encode(secret);
    let forms = [
        secret.to_vec(),
        hex.clone().into_bytes(),
        hex.to_uppercase().into_bytes(),
    ];
    let planted = state_dir.join("provider").join("planted");
    for form in forms {
        fs::write(&planted, [b"{\"secret\":\"", form.as_slice(), b"\"}"].concat())?;
        is_found(&state_dir, needles)?;
    }
    fs::remove_file(&planted)?;
    ensure(search_all(&[state_dir], needles)?.is_empty(), || {
        "it is found where it is no more".to_owned()
    })?;
    let mut careless = Command::new("sh")
        .args(["-c", "read -r secret; echo; read -r never"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let core = shop.dir().join("core-careless");
    let kept = (|| {
        writeln!(careless.stdin.as_mut().ok_or("there is no pipe")?, "{hex}")?;
        let told = careless.stdout.as_mut().ok_or("there is no pipe")?;
        told.read_exact(&mut [0])?;
        core_of(careless.id(), &core)
    })();
    careless.kill()?;
    careless.wait()?;
    kept?;
    is_found(&core, needles)
}

fn is_found(place: &Path, needles: &[Needle]) -> Result<(), Fault> {
    let hits = search_all(&[PathBuf::from(place)], needles)?;
    ensure(!hits.is_empty(), || {
        let names: Vec<_> = needles.iter().map(|needle| &needle.name).collect();
        format!("the search finds none of {names:?} in {}", place.display())
    })
}

/// The permit that the terminal holds.
fn permit(state_dir: &Path) -> Result<Permit, Fault> {
    let batches = Reader::open(state_dir)?.batches(None, 1)?;
    match batches.first().map(|(_, batch)| &batch.standing) {
        Some(BatchStanding::Exchanged(exchanged)) => Ok(Permit::decode(&exchanged.permit)?),
        other => Err(format!("nothing is exchanged: {other:?}").into()),
    }
}

/// Opens the token as the bank does. The lab's bank has the private key 1, so the shared secret is the x of the ephemeral point.
fn secret(permit: &Permit) -> Result<Vec<u8>, Fault> {
    let (point, sealed) = permit.sealed_token.split_at(POINT_BYTES);
    let bank = hex::decode(BANK_KEY)?;
    let info = [&b"purser permit token 1"[..], point, &bank];
    let failed = |_| "the token does not open with the bank's key";
    let shared = Salt::new(HKDF_SHA256, &[]).extract(&point[1..33]);
    let key = shared
        .expand(&info, &AES_256_GCM)
        .map(UnboundKey::from)
        .map_err(failed)?;
    let mut token = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let token = LessSafeKey::new(key)
        .open_in_place(nonce, Aad::empty(), &mut token)
        .map_err(failed)?;
    ensure(token.starts_with(b"PTKN\x01"), || "it is no token".to_owned())?;
    Ok(token.get(SECRET).ok_or("the token is short")?.to_vec())
}
