//! The terminal's device key: P-256, made here, never told to anybody.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

/// A P-256 point, uncompressed (SEC 1 §2.3.3).
pub(super) const PUBLIC_KEY_BYTES: usize = 65;

/// The key cannot be made, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no P-256 key, or the system gives no random bytes")]
pub(super) struct KeyError;

/// The device key, as TLS and the call-back use it. Shown masked.
pub(super) struct DeviceKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    /// The same key for TLS.
    tls: Arc<dyn SigningKey>,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(****)")
    }
}

/// Makes a new key: PKCS#8 in DER (RFC 5958), as it is stored.
pub(super) fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    Ok(Zeroizing::new(made.map_err(|_| KeyError)?.as_ref().to_vec()))
}

impl DeviceKey {
    /// The key of these bytes. None of them is kept but inside of the cryptographic library.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random);
        let borrowed = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        let tls = rustls::crypto::ring::sign::any_ecdsa_type(&borrowed);
        Ok(Self {
            pair: pair.map_err(|_| KeyError)?,
            random,
            tls: tls.map_err(|_| KeyError)?,
        })
    }

    /// The public half.
    pub(super) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The same key for TLS.
    pub(super) fn for_tls(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.tls)
    }

    /// A signature: ECDSA P-256 with SHA-256, in DER.
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&self.random, bytes);
        Ok(signature.map_err(|_| KeyError)?.as_ref().to_vec())
    }
}

/// True when the signature is this public key's over the bytes.
pub(super) fn verifies(public_key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key);
    key.verify(bytes, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_as_its_public_half_verifies_and_is_never_shown() {
        let stored = generate().unwrap();
        let key = DeviceKey::from_pkcs8(&stored).unwrap();
        assert_eq!(key.public_key().len(), PUBLIC_KEY_BYTES);
        let signature = key.sign(b"a challenge").unwrap();
        assert!(verifies(key.public_key(), b"a challenge", &signature));
        assert!(!verifies(key.public_key(), b"another", &signature));
        assert_eq!(format!("{key:?}"), "DeviceKey(****)");
        assert!(DeviceKey::from_pkcs8(&stored[1..]).is_err());
    }
}
