//! A permit's token: what the bank, and nobody on the way, can read (money rule B1).
//!
//! Sealed: ephemeral P-256 point 65 · AES-256-GCM of what follows, 16 bytes of tag at its end. The key is HKDF-SHA256 of the
//! ECDH secret, without salt, for `purser permit token 1`, the ephemeral point and the bank's; the nonce is zero, as each key
//! seals one token.
//!
//! Inside: `PTKN` 01 · permit id 16 · generation 4 · account 15 · bank terminal id 8 · currency 3 · total 8 · expiry 8 ·
//! one-time secret 16 · the provider's signature over all that, in DER. Anybody could seal for the bank; the signature says
//! who did.

use purser_provider_link::Permit;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::authority::{Authority, random};
use crate::fault::Failure;

const PURPOSE: &[u8] = b"purser permit token 1";

/// Seals a permit's token for the bank with this key.
pub(crate) fn seal(authority: &Authority, bank_key: &[u8], permit: &Permit) -> Result<Vec<u8>, Failure> {
    let failed = |_| Failure::Cryptography("sealing a permit's token");
    let mut token = Zeroizing::new(b"PTKN\x01".to_vec());
    token.extend_from_slice(&permit.id.0);
    token.extend_from_slice(&permit.generation.to_be_bytes());
    token.extend_from_slice(permit.account.digits());
    token.extend_from_slice(permit.bank_terminal.as_bytes());
    token.extend_from_slice(permit.sum.total.currency().code().as_bytes());
    token.extend_from_slice(&permit.sum.total.minor().to_be_bytes());
    token.extend_from_slice(&permit.expires_unix_seconds.to_be_bytes());
    token.extend_from_slice(&Zeroizing::new(random::<16>()?)[..]);
    let signature = authority.sign(&token)?;
    token.extend_from_slice(&signature);

    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(failed)?;
    let point = ours.compute_public_key().map_err(failed)?.as_ref().to_vec();
    let bank = UnparsedPublicKey::new(&ECDH_P256, bank_key);
    let key = agree_ephemeral(ours, &bank, |secret| {
        let secret = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let info = [PURPOSE, &point, bank_key];
        secret.expand(&info, &AES_256_GCM).map(UnboundKey::from)
    });
    let key = LessSafeKey::new(key.map_err(failed)?.map_err(failed)?);
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut *token)
        .map_err(failed)?;
    Ok([point, token.to_vec()].concat())
}
