//! A driver's manifest: what the file beside it vouches for. Read and checked before any vendor code is loaded.

mod check;
mod make;

use std::path::{Path, PathBuf};

use purser_driver_wire::limits::NAME_MAX_BYTES;
use purser_driver_wire::{Abi, Hello, Sha256};
use serde::{Deserialize, Serialize};

pub use check::{CheckedDriver, ManifestError, check};
pub use make::{MakeError, write};

/// ABI major version of the driver contract that this release loads.
pub const ABI_MAJOR: u32 = 1;

/// What a `*.driver.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The driver's id, as it says itself.
    pub id: String,
    /// The driver's version, as it says itself.
    pub version: String,
    /// The contract that it was compiled for: `MAJOR.MINOR`.
    #[serde(with = "abi_text")]
    pub abi: Abi,
    /// The abilities that it offers, such as `purser.card-reader/1`.
    pub classes: Vec<String>,
    /// What it needs besides its device: `network`, `files`, a device path. Perhaps empty.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Digest of the shared object, 64 hexadecimal digits.
    #[serde(with = "digest_text")]
    sha256: [u8; 32],
}

impl Manifest {
    /// Digest of the shared object.
    pub fn sha256(&self) -> Sha256 {
        Sha256(self.sha256)
    }

    /// True if the loaded driver says the same about itself.
    pub(crate) fn describes(&self, hello: &Hello) -> bool {
        self.id == hello.driver_id.as_str()
            && self.version == hello.driver_version.as_str()
            && self.abi == hello.abi
            && self.classes.len() == hello.abilities.len()
            && hello
                .abilities
                .iter()
                .all(|ability| self.classes.iter().any(|class| class == ability.as_str()))
    }

    fn is_bounded(&self) -> bool {
        let names = [&self.id, &self.version]
            .into_iter()
            .chain(&self.classes)
            .chain(&self.needs);
        names
            .into_iter()
            .all(|name| !name.is_empty() && name.len() <= NAME_MAX_BYTES)
    }
}

/// Where the manifest of a driver lies: `libx.so` has `libx.driver.toml`.
pub fn manifest_path(driver: &Path) -> PathBuf {
    driver.with_extension("driver.toml")
}

mod abi_text {
    use purser_driver_wire::Abi;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(abi: &Abi, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(abi)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Abi, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.split_once('.').and_then(|(major, minor)| {
            Some(Abi {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| D::Error::custom("an ABI version is MAJOR.MINOR, such as \"1.0\""))
    }
}

mod digest_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest)
            .map_err(|_| serde::de::Error::custom("a sha256 has 64 hexadecimal digits"))?;
        Ok(digest)
    }
}
